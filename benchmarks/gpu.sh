#!/usr/bin/env bash
# On a machine with a GPU and python3 with PyTorch (2.10 or later) and transformers, but no .NET, no compiler and no network: compares
# operators and goldens on that PyTorch's libtorch, and measures against HF transformers on the same GPU.
#   make gpu-kit            before, where .NET is: the command line and the operators into build/gpu-kit, which travels with the tree
#   benchmarks/gpu.sh       there: prints one table, and writes gpu.md, gpu.json and logs into $OUT (default build/gpu)
# DEVICE=cpu SIZE=tiny runs every step without a GPU; LIBTORCH takes another libtorch than that of python3; SECONDS_LEFT (default 540) is
# when no further step begins.
set -euo pipefail
cd "$(dirname "$0")/.."
began=$(date +%s)
device=${DEVICE:-cuda:0}
size=${SIZE:-base}
kit=${KIT:-build/gpu-kit}
out=${OUT:-build/gpu}
work=${WORK:-$(mktemp -d)}
mkdir -p "$out" "$work"
for file in longformer liblongformer_ops.so; do
  [ -f "$kit/$file" ] || { echo "gpu.sh: $kit/$file is missing: make gpu-kit, and carry $kit" >&2; exit 1; }
done

# The folder of the libtorch that python3's PyTorch has loaded: a wheel's torch/lib, a distribution's own folder.
libtorch=${LIBTORCH:-$(python3 - <<'EOF'
import os
import torch
print(next(os.path.dirname(line.split()[-1]) for line in open("/proc/self/maps") if os.path.basename(line.split()[-1]).startswith("libtorch_cpu.so")))
EOF
)}
echo "gpu.sh: libtorch: $libtorch, device $device"

export LIBTORCH="$libtorch" LONGFORMER_NATIVE_DIR="$PWD/$kit" PYTHONUNBUFFERED=1 TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1
case $kit in /*) LONGFORMER_NATIVE_DIR=$kit ;; esac
spent=$(($(date +%s) - began))
python3 benchmarks/gpu.py --longformer "$kit/longformer" --device "$device" --size "$size" --output "$out" --work "$work" \
  --seconds $((${SECONDS_LEFT:-540} - spent))
