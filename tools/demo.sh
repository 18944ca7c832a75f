#!/usr/bin/env bash
# The main job: a real long document, whole, through a base-size Longformer; then the numbers against the reference.
# The weights are random (seeded), in HF format: published ones cannot be shipped here; put a real checkpoint folder in
# MODEL and a text in DOCUMENT to see yours.
set -euo pipefail
cd "$(dirname "$0")/.."
model=${MODEL:-build/demo/longformer-base-16384}
document=${DOCUMENT:-/usr/share/common-licenses/GPL-3}

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
