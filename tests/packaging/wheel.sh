#!/usr/bin/env bash
# Builds source distribution and wheel, installs the wheel alone into a fresh environment outside the
# checkout, and uses it there: what is listed, found and run must come from the wheel. There are the
# base dependencies alone, and with them every module imports in a process of its own.
#
#     bash tests/packaging/wheel.sh [PYTHON]
#
# PYTHON (default: python3) makes the environment, so that other versions can be tried.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
python=${1:-python3}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

"$python" -m venv "$scratch/build"
"$scratch/build/bin/pip" install --quiet build
"$scratch/build/bin/python" -m build --outdir "$scratch/dist" "$root" >"$scratch/build.log" 2>&1 ||
  { cat "$scratch/build.log" >&2; exit 1; }
wheel=$(ls "$scratch"/dist/*.whl)
"$python" -m zipfile -l "$wheel" >"$scratch/files"
for file in attnzoo/py.typed attnzoo/weights/base.safetensors attnzoo/experiments/tables/full.yaml \
  attnzoo/report/page/page.html licenses/LICENSE; do
  grep -q "$file" "$scratch/files" || { echo "the wheel lacks $file" >&2; exit 1; }
done
if grep -Eq "tests/|\.pyc|shared/" "$scratch/files"; then
  echo "the wheel holds what does not belong into it" >&2
  exit 1
fi

"$python" -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install --quiet "$wheel"
mkdir "$scratch/elsewhere"
cd "$scratch/elsewhere"
unset PYTHONPATH
python="$scratch/venv/bin/python"

"$python" -c "
import attnzoo, pathlib, sys
place = pathlib.Path(attnzoo.__file__)
assert pathlib.Path(sys.prefix) in place.parents, place
"
"$python" "$root/tests/packaging/imports.py"
"$python" -m attnzoo list | grep -q stsa_flow
"$python" -m attnzoo.run attn=stsa 'size=[2,4,4]' data.size=32 data.frames=4 data.clips=2 \
  train.stage1.steps=2 train.stage1.warmup=1 train.stage2.steps=1 train.stage2.warmup=0 \
  sample.steps=1 sample.clips=2 device=cpu hydra.run.dir=run >run.txt
"$python" -c "
from attnzoo.train.record import read_record
import pathlib
scores = read_record(pathlib.Path('run'))['scores']
assert scores['fd_embedded_frame']['value'] is not None, 'the embedded network was not found'
from attnzoo.tables.reading import read_protocol
from attnzoo.config import experiments
assert read_protocol(experiments() / 'tables' / 'full.yaml').cells
"
ls run/record.json run/strip.png run/sample.mp4 >/dev/null
"$scratch/venv/bin/pip" check
echo "$(basename "$wheel"), $(du -h "$wheel" | cut -f1): installed alone, listed, run, scored"
