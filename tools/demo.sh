#!/usr/bin/env bash
# The main job: whole manual pages through the model in the box, which was trained here and never saw them; a real long document, whole, through a
# base-size Longformer; then the numbers against the reference. The base-size weights are random (seeded), in HF format: published ones cannot
# be shipped here; put a real checkpoint folder in MODEL and a text in DOCUMENT to see yours.
set -euo pipefail
cd "$(dirname "$0")/.."
model=${MODEL:-build/demo/longformer-base-16384}
document=${DOCUMENT:-/usr/share/common-licenses/GPL-3}

if [ ! -f "${LONGFORMER_DEFAULT_MODEL:-models/default}/config.json" ]; then
  echo "demo: there is no model in the box yet (models/default; make default-model makes it in hours): its part is left out"
elif ! command -v python3 >/dev/null; then
  echo "demo: no python3 to fetch manual pages with: the model in the box is not shown"
else
  echo "demo: manual pages without their NAME, and what the model in the box says they are for"
  python3 tools/default_model/demo.py build/demo/pages
fi

if [ ! -f "$model/model.safetensors" ] && [ -z "${MODEL:-}" ]; then
  echo "demo: making a base-size checkpoint with seeded random weights (12 layers, 768 wide, window 512, 16,384 positions)"
  ./longformer random "$model" --size base --tokens 16384 --seed 0 --tokenizer parity-tests/goldens/tokenizer/roberta
fi
echo
./longformer info "$model"
echo
echo "demo: encoding $document, whole"
./longformer encode "$model" --input "$document" --pooling mean --output build/demo/embedding.npy
echo
echo "demo: every golden of the reference implementations"
./longformer parity --summary parity-tests/goldens
