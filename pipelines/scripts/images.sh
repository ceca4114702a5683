#!/usr/bin/env bash
# Builds the images of one release: the code of this checkout and the bundles it names.
#
#   images.sh REGISTRY TAG [--push]
#
# Needs docker, python3, and the bundles that `trilane package --output var/bundles` wrote.
set -euo pipefail
registry=${1:?usage: images.sh REGISTRY TAG [--push]}
tag=${2:?usage: images.sh REGISTRY TAG [--push]}
push=${3:-}
cd "$(dirname "$0")/../.."

# Only the models of config/models.json: var/bundles may hold older ones.
bundles=var/image-bundles
rm -rf "$bundles" && mkdir -p "$bundles"
scoring=scoring
while read -r model; do
  cp -R "var/bundles/$model" "$bundles/"
  backend=$(python3 -c '
import json, sys
print(json.load(open(sys.argv[1]))["backend"]["kind"])' "$bundles/$model/manifest.json")
  if [[ $backend == pyfunc ]]; then scoring="scoring-pyfunc"; fi
done < <(python3 -c '
import json
for model in json.load(open("config/models.json"))["models"]:
    print(model["name"])')

build() { # TARGET IMAGE
  docker build --target "$1" --build-arg "BUNDLE=$bundles" \
    --label "org.opencontainers.image.version=$tag" \
    --label "org.opencontainers.image.revision=$(git rev-parse HEAD)" \
    --tag "$registry/$2:$tag" .
  if [[ $push == --push ]]; then docker push "$registry/$2:$tag"; fi
}

build "$scoring" trilane-scoring
build monitoring trilane-monitoring
