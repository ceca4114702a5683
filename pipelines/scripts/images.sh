#!/usr/bin/env bash
# Builds the images of one release: the code of this checkout and the champion of its bundles.
#
#   images.sh REGISTRY TAG [--push]
#
# Needs docker, python3, and the bundles that `trilane package --output var/bundles` wrote.
set -euo pipefail
registry=${1:?usage: images.sh REGISTRY TAG [--push]}
tag=${2:?usage: images.sh REGISTRY TAG [--push]}
push=${3:-}
cd "$(dirname "$0")/../.."

champion=$(python3 -c '
import json
models = json.load(open("config/models.json"))["models"]
print(next(model["name"] for model in models if model["role"] == "champion"))')
bundle=var/bundles/$champion
backend=$(python3 -c '
import json, sys
print(json.load(open(sys.argv[1]))["backend"]["kind"])' "$bundle/manifest.json")
scoring=scoring
if [[ $backend == pyfunc ]]; then scoring="scoring-pyfunc"; fi

build() { # TARGET IMAGE
  docker build --target "$1" --build-arg "BUNDLE=$bundle" \
    --label "org.opencontainers.image.version=$tag" \
    --label "org.opencontainers.image.revision=$(git rev-parse HEAD)" \
    --tag "$registry/$2:$tag" .
  if [[ $push == --push ]]; then docker push "$registry/$2:$tag"; fi
}

build "$scoring" trilane-scoring
build monitoring trilane-monitoring
