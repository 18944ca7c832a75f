#!/usr/bin/env bash
# Runs transformers' own test files for Longformer and LED in a Debian sid root folder, once as they are and once with every model
# accelerated (longformer_interop.torch.accelerate), and compares the outcome of every test and subtest. Downloads nothing: the test files
# come from a checkout of transformers, whose models must be those of the root folder's transformers. Needs root. Not part of the tests.
#   tools/check-hf-tests.sh ROOT CHECKOUT[@REVISION]
# ROOT as for check-accelerate.sh; CHECKOUT a folder with tests/, utils/ and src/, or a git repository (without a work tree too) with a revision.
set -euo pipefail
usage="usage: tools/check-hf-tests.sh ROOT CHECKOUT[@REVISION]"
dir=$(realpath "${1:?$usage}")
checkout=${2:?$usage}
root=$(realpath "$(dirname "$0")/..")
[ "$(id -u)" = 0 ] || { echo "check-hf-tests: chroot needs root; run it with sudo" >&2; exit 1; }
in_root() { "$root/tools/in-root.sh" "$dir" env HF_HUB_OFFLINE=1 "$@"; }
in_root python3 -c 'import torch, transformers' 2>/dev/null || {
  echo "check-hf-tests: python3 in $dir imports no torch and transformers" >&2
  exit 1
}
"$root/tools/root-folder.sh" "$dir" sid python3-pytest python3-parameterized

inside=/root/longformer-hf-tests
rm -rf "${dir:?}$inside"
mkdir -p "$dir$inside/hf" "$dir$inside/artifacts"
case $checkout in
  *@*) git -C "${checkout%@*}" archive "${checkout##*@}" src tests utils conftest.py pyproject.toml | tar x -C "$dir$inside/hf" ;;
  *) cp -r "$checkout/src" "$checkout/tests" "$checkout/utils" "$checkout/conftest.py" "$checkout/pyproject.toml" "$dir$inside/hf" ;;
esac
installed=$(in_root python3 -c 'import importlib.util; print(importlib.util.find_spec("transformers").submodule_search_locations[0])')
for model in longformer/modeling_longformer.py led/modeling_led.py; do
  cmp -s "$dir$installed/models/$model" "$dir$inside/hf/src/transformers/models/$model" || {
    echo "check-hf-tests: models/$model of the checkout is not that of the transformers in $dir: take the checkout of its version" >&2
    exit 1
  }
done
cp -r "$root/bindings/python" "$dir$inside/python"
cp "$root/artifacts/liblongformer_ops.so" "$dir$inside/artifacts/"
cp "$root/tools/hf_accelerated.py" "$dir$inside/python/"

run() { # run NAME ACCELERATE
  # One thread: the models are tiny, and waiting for another thread on a busy machine takes longer than their work.
  in_root env OMP_NUM_THREADS=1 LONGFORMER_NATIVE_DIR=$inside/artifacts LONGFORMER_ACCELERATE="$2" LONGFORMER_OUTCOMES=$inside/"$1".txt PYTHONPATH=$inside/python \
    sh -c "cd $inside/hf && python3 -m pytest -q -p no:cacheprovider -p hf_accelerated tests/models/longformer/test_modeling_longformer.py \
      tests/models/led/test_modeling_led.py" >"$dir$inside/$1.log" 2>&1 || true
  echo "$1: $(tail -n 1 "$dir$inside/$1.log")"
  [ -s "$dir$inside/$1.txt" ] || { tail -n 30 "$dir$inside/$1.log" >&2; exit 1; }
}
run before 0
run accelerated 1
grep '^accelerated:' "$dir$inside/accelerated.log" || { echo "check-hf-tests: no model was accelerated" >&2; exit 1; }
if ! diff "$dir$inside/before.txt" "$dir$inside/accelerated.txt"; then
  echo "check-hf-tests: outcomes differ (< before, > accelerated); see $dir$inside/*.log" >&2
  exit 1
fi
echo "check-hf-tests: $(wc -l <"$dir$inside/before.txt") outcomes, all the same"
