#!/usr/bin/env bash
# Writes var/deploy: k8s/base plus what differs between environments. Touches no cluster;
# `kubectl kustomize var/deploy` shows the result.
#
#   render.sh REGISTRY TAG
#
# Reads from the environment the settings and the client ids of the four managed identities below.
set -euo pipefail
registry=${1:?usage: render.sh REGISTRY TAG}
tag=${2:?usage: render.sh REGISTRY TAG}
cd "$(dirname "$0")/../.."

required=(TRILANE_STORAGE_URL TRILANE_BOOTSTRAP_SERVERS TRILANE_INPUT TRILANE_OUTPUT)
optional=(TRILANE_LOGS_INGESTION_ENDPOINT TRILANE_LOGS_INGESTION_RULE_ID)
accounts=(online-api stream-worker batch-scorer monitoring-worker)

# Fails here, before anything is written, when a name is missing.
id_name() { echo "$(tr 'a-z-' 'A-Z_' <<< "$1")_CLIENT_ID"; } # online-api: ONLINE_API_CLIENT_ID
for name in "${required[@]}" $(for account in "${accounts[@]}"; do id_name "$account"; done); do
  if [[ -z ${!name:-} ]]; then
    echo "render.sh: $name is not set" >&2
    exit 2
  fi
done

mkdir -p var/deploy
{
  cat <<EOF
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: trilane
resources:
  - ../../k8s/base
images:
  - name: trilane-scoring
    newName: $registry/trilane-scoring
    newTag: "$tag"
  - name: trilane-monitoring
    newName: $registry/trilane-monitoring
    newTag: "$tag"
configMapGenerator:
  - name: trilane-settings
    behavior: merge
    literals:
EOF
  for name in "${required[@]}" "${optional[@]}"; do
    if [[ -n ${!name:-} ]]; then echo "      - $name=${!name}"; fi
  done
  echo "patches:"
  for account in "${accounts[@]}"; do
    name=$(id_name "$account")
    cat <<EOF
  - patch: |
      apiVersion: v1
      kind: ServiceAccount
      metadata:
        name: $account
        annotations:
          azure.workload.identity/client-id: "${!name}"
EOF
  done
} > var/deploy/kustomization.yaml
