#!/usr/bin/env bash
# Applies one release to the cluster of the current kubectl context and waits until it is ready.
#
#   deploy.sh REGISTRY TAG
#
# Reads the same environment as render.sh.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
"$here/render.sh" "$@"

kubectl apply --kustomize "$here/../../var/deploy"
for deployment in online-api stream-worker monitoring-worker; do
  kubectl --namespace trilane rollout status "deployment/$deployment" --timeout 10m
done
