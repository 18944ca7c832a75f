#!/usr/bin/env bash
# On a machine with a GPU, python3 with PyTorch and transformers, CMake, ninja and a C++ compiler, but no .NET and no network: builds the
# native libraries against that PyTorch, compares operators and goldens, and measures against HF transformers on the same GPU.
#   make gpu-kit            before, where .NET is: publishes the command line into build/gpu-kit, which travels with the tree
#   benchmarks/gpu.sh       there: prints one table, and writes gpu.md, gpu.json and logs into $OUT (default build/gpu)
# DEVICE=cpu SIZE=tiny runs every step without a GPU; SECONDS_LEFT (default 540) is when no further step begins.
set -euo pipefail
cd "$(dirname "$0")/.."
began=$(date +%s)
device=${DEVICE:-cuda:0}
size=${SIZE:-base}
kit=${KIT:-build/gpu-kit}
out=${OUT:-build/gpu}
work=${WORK:-$(mktemp -d)}
mkdir -p "$out" "$work"
[ -x "$kit/longformer" ] || { echo "gpu.sh: $kit/longformer is missing: make gpu-kit, and carry $kit" >&2; exit 1; }

# The folder of a PyTorch from a wheel; that of a system's package holds no headers, which lie in the system's folders then.
torch=$(python3 -c 'import os, torch; print(os.path.dirname(torch.__file__))')
[ -f "$torch/include/ATen/ATen.h" ] || torch=
echo "gpu.sh: libtorch: ${torch:-the system}, device $device"
cmake -S native -B "$work/native" -G Ninja -DLIBTORCH="$torch" -Dartifacts="$work/lib" -DLONGFORMER_BUILD_TESTS=OFF > "$out/build.log" 2>&1 \
  && ninja -C "$work/native" >> "$out/build.log" 2>&1 || { tail -n 40 "$out/build.log"; echo "gpu.sh: the native libraries do not build" >&2; exit 1; }
grep -E '^-- (libtorch|CUDA|oneDNN)' "$out/build.log" || true
echo "gpu.sh: built in $(($(date +%s) - began)) s"

export LONGFORMER_NATIVE_DIR="$work/lib" PYTHONUNBUFFERED=1 TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1
spent=$(($(date +%s) - began))
python3 benchmarks/gpu.py --longformer "$kit/longformer" --device "$device" --size "$size" --output "$out" --work "$work" \
  --seconds $((${SECONDS_LEFT:-540} - spent))
