#!/usr/bin/env bash
# Runs tests with the lowest version that pyproject.toml allows of every direct dependency but torch
# and torchvision, of which a build for this machine is taken as it resolves.
#
#     bash tests/packaging/lowest.sh [PYTEST ARGUMENT...]
#
# By default the whole suite.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
# Without what they need: that, too, is to come at its lowest.
"$scratch/venv/bin/pip" install --quiet uv
"$scratch/venv/bin/pip" install --quiet --no-deps "torch>=2.10,<2.14" "torchvision>=0.25,<0.29"
"$scratch/venv/bin/pip" freeze | grep -E '^torch(vision)?==' >"$scratch/kept.txt"
"$scratch/venv/bin/uv" pip install --quiet --python "$scratch/venv/bin/python" \
  --resolution lowest-direct --constraint "$scratch/kept.txt" --editable "$root[test]"
"$scratch/venv/bin/uv" pip list --python "$scratch/venv/bin/python" --format freeze
cd "$root"
if [ $# -eq 0 ]; then set -- -n "$(nproc)"; fi
"$scratch/venv/bin/python" -m pytest "$@"
