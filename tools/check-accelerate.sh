#!/usr/bin/env bash
# Tests longformer_interop.torch in a Debian root folder that has a newer PyTorch and transformers: the operators, tracing, HF's models, and
# training on two processes. The last line is "N passed, N failed".
# Needs root. Nothing is built there but what torch.compile compiles. Not part of the tests: the root folder takes 3 GB.
#   tools/check-accelerate.sh DIR
set -euo pipefail
dir=$(realpath "${1:?usage: tools/check-accelerate.sh DIR (a Debian root folder with python3-torch and transformers)}")
root=$(realpath "$(dirname "$0")/..")
[ "$(id -u)" = 0 ] || { echo "check-accelerate: chroot needs root; run it with sudo" >&2; exit 1; }
in_root() { "$root/tools/in-root.sh" "$dir" "$@"; }
in_root python3 -c 'import torch, transformers' 2>/dev/null || {
  echo "check-accelerate: skipped, python3 in $dir imports no torch and transformers"
  exit 0
}
"$root/tools/root-folder.sh" "$dir" sid g++ python3-pytest
inside=/root/longformer-python
rm -rf "${dir:?}$inside"
mkdir -p "$dir$inside/artifacts"
cp -r "$root/bindings/python" "$dir$inside/python"
cp "$root/artifacts/liblongformer_ops.so" "$dir$inside/artifacts/"
log=$(mktemp)
status=0
in_root env LONGFORMER_NATIVE_DIR=$inside/artifacts python3 -m pytest -q -p no:cacheprovider --noconftest --rootdir $inside/python \
  "$inside/python/tests/"test_{torch,tracing,huggingface,distributed}.py 2>&1 | tee "$log" || status=$?
logs=$(mktemp -d)
. "$root/tools/counting.sh"
read -r p f k <<<"$(pytest_counts "$log")"
rm -rf "$log" "$logs"
if [ "$status" -ne 0 ] && [ "$f" -eq 0 ]; then f=1; fi
[ "$k" -eq 0 ] || echo "$k skipped"
echo "$p passed, $f failed"
[ "$f" -eq 0 ]
