#!/usr/bin/env bash
# Runs every test program that `make` built, fast ones first, and closes with one line over all of them.
set -u
cd "$(dirname "$0")/.."
logs=build/test-logs
. tools/counting.sh

dotnet_tests() { # project
  counted "$1" vstest_counts dotnet test "build/dotnet/bin/LongformerInterop.$1/release/LongformerInterop.$1.dll"
  grep -E '^ *Skipped ' "$logs/$1.log"
}

capi_tests() {
  local tests=build/capi-tests
  {
    bindings/c/tests/models.sh "$tests/models" &&
      cmake -S bindings/c/tests -B "$tests/build" -G Ninja -DCMAKE_PREFIX_PATH="$PWD/artifacts" -DMODELS="$PWD/$tests/models" -DGOLDENS="$PWD/parity-tests/goldens" &&
      ninja -C "$tests/build" --quiet
  } > "$logs/capi-build.log" 2>&1 || { cat "$logs/capi-build.log"; add capi 1 0 1 0; return; }
  counted capi ctest_counts env OMP_NUM_THREADS=1 ctest --test-dir "$tests/build" --output-on-failure --timeout $limit -j "$(nproc)"
}

python_tests() {
  counted python pytest_counts env PYTHONFAULTHANDLER=1 .venv/bin/python -m pytest -q -rsfE bindings/python/tests tools/default_model/tests
  grep -E '^SKIPPED' "$logs/python.log"
}

for name in Architecture.Tests Tokenizers.Tests Torch.Tests Checkpoints.Tests; do dotnet_tests $name; done
# A program a core, one thread each: OpenMP threads that spin would fight each other.
counted native ctest_counts env OMP_NUM_THREADS=1 ctest --test-dir build/native --output-on-failure --timeout $limit -j "$(nproc)"
capi_tests
for name in Models.Tests Tasks.Tests Training.Tests TorchSharp.Tests Extensions.Tests DotNet.Tests Corpora.Tests Cli.Tests ParityTests; do dotnet_tests $name; done
python_tests
close
