#!/usr/bin/env bash
# Asks the online API whether it is ready and serves the champion of config/models.json.
#
#   smoke.sh         through a port-forward to the cluster of the current kubectl context
#   smoke.sh URL     for example http://127.0.0.1:8080 of compose.yaml or `make demo`
#
# SMOKE_API_KEY is the API key to ask with, where the API wants one.
set -euo pipefail
cd "$(dirname "$0")/../.."
url=${1:-}

if [[ -z $url ]]; then
  url=http://127.0.0.1:18080
  kubectl --namespace trilane port-forward service/online-api 18080:80 > /dev/null &
  trap 'kill "$!"' EXIT
fi

# The key goes in through a file descriptor: arguments can be read by every process.
get() {
  curl --silent --show-error --fail --max-time 10 \
    --header @<(printf 'X-API-Key: %s\n' "${SMOKE_API_KEY:-none}") "$@"
}
get --retry 15 --retry-delay 1 --retry-connrefused --output /dev/null "$url/readyz"
get "$url/model" | python3 -c '
import json, sys
served = json.load(sys.stdin)["name"]
models = json.load(open("config/models.json"))["models"]
wanted = next(model["name"] for model in models if model["role"] == "champion")
if served != wanted:
    sys.exit(f"smoke: the online API serves {served}, config/models.json names {wanted}")
print(f"smoke: the online API is ready and serves {served}")'
