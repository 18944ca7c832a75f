#!/usr/bin/env bash
# Runs what `make` built, not compiled again, on the newest PyTorch at hand, which is Debian sid's: the operators' tests, src/Torch, every golden from
# C#, C and Python, torch.library.opcheck, and HF's models accelerated. Needs root. The last line is "N passed, N failed".
#   tools/check-newest.sh DIR     DIR: a Debian sid root folder, made where it is missing (3 GB)
set -euo pipefail
dir=${1:?usage: tools/check-newest.sh DIR}
cd "$(dirname "$0")/.."
logs=build/newest-logs
. tools/counting.sh

tools/root-folder.sh "$dir" sid python3-torch python3-transformers python3-tokenizers python3-safetensors python3-numpy python3-pytest \
  python3-hypothesis python3-tqdm libopenblas0-pthread g++
libtorch=$(dirname "$(find "$dir/usr/lib" -name 'libtorch_cpu.so*' | head -1)")
libtorch=${libtorch#"$dir"}
in_root=(tools/in-root.sh "$dir" env LIBTORCH="$libtorch" OMP_NUM_THREADS="$(nproc)")
tools/in-root.sh "$dir" python3 -c 'import torch, transformers; print("PyTorch", torch.__version__, "transformers", transformers.__version__)' 2>/dev/null

# "native tests on libtorch_cpu.so.2.14: all 900 passed", or "...: 890 passed, 10 failed".
native_counts() { sed -nE 's/^native tests on .*: (all )?([0-9]+) passed(, ([0-9]+) failed)?$/\2 \4/p' "$1" | awk 'NF { print $1, ($2 == "" ? 0 : $2), 0 }'; }
counted native native_counts tools/check-native-newest.sh "$dir"
counted Torch.Tests vstest_counts "${in_root[@]}" dotnet test build/dotnet/bin/LongformerInterop.Torch.Tests/release/LongformerInterop.Torch.Tests.dll
counted goldens parity_counts "${in_root[@]}" ./longformer parity --attention all parity-tests/goldens
# The Python module over the C library; what tests it inside PyTorch comes next.
inside_torch=(test_torch.py test_tracing.py test_huggingface.py test_distributed.py)
counted python pytest_counts "${in_root[@]}" python3 -m pytest -q -rsfE bindings/python/tests "${inside_torch[@]/#/--ignore=bindings/python/tests/}"
grep -E '^SKIPPED' $logs/python.log || true
# TorchSharp is compiled for one libtorch: beside this one it is refused, in one line.
check TorchSharp-refused "${in_root[@]}" sh -c 'dotnet build/dotnet/bin/TorchSharpBenchmark/release/TorchSharpBenchmark.dll --layers 1 --forward 8 2> build/newest-logs/refused
  [ $? -eq 1 ] && cat build/newest-logs/refused && [ $(wc -l < build/newest-logs/refused) -eq 1 ] && grep -q "^libtorch: TorchSharp needs 2.10, and this process has loaded" build/newest-logs/refused'
counted accelerate pytest_counts tools/check-accelerate.sh "$dir"
close
