#!/usr/bin/env bash
# Runs every test program that `make` built, fast ones first, and closes with one line over all of them.
# A program that ends without a count (a crash, say) counts as one failure, and so does one that does not end.
set -u
cd "$(dirname "$0")/.."
logs=build/test-logs
mkdir -p "$logs"
passed=0 failed=0 skipped=0
# Several times what the longest takes on a busy machine: what has not ended by then hangs. SIGABRT makes Python and .NET say where.
limit=1200
limited() { # command ...: with that limit, and a line about it where it was reached
  timeout --signal=ABRT --kill-after=30 $limit "$@"
  local status=$?
  [ $SECONDS -lt $limit ] || echo "ended after $limit s, since it hung: $*"
  return $status
}

add() { # name, exit status, passed, failed, skipped
  local p=${3:-0} f=${4:-0} s=${5:-0}
  if [ "$2" -ne 0 ] && [ "$f" -eq 0 ]; then f=1; fi
  if [ "$2" -eq 0 ] && [ $((p + f)) -eq 0 ]; then f=1; echo "   $1 ran no test"; fi
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
  printf '== %-28s %5d passed %3d failed %3d skipped  %4ds\n' "$1" "$p" "$f" "$s" "$SECONDS"
}

dotnet_tests() { # project
  local name=$1 dll="build/dotnet/bin/LongformerInterop.$1/release/LongformerInterop.$1.dll" log="$logs/$1.log" status
  SECONDS=0
  limited dotnet test "$dll" > "$log" 2>&1
  status=$?
  [ $status -eq 0 ] || cat "$log"
  grep -E '^ *Skipped ' "$log"
  # shellcheck disable=SC2046
  add "$name" $status $(sed -nE 's/.*Failed: *([0-9]+), Passed: *([0-9]+), Skipped: *([0-9]+), Total.*/\2 \1 \3/p' "$log" | tail -1)
}

native_tests() {
  local log="$logs/native.log" status
  SECONDS=0
  # A program a core, one thread each: OpenMP threads that spin would fight each other.
  OMP_NUM_THREADS=1 ctest --test-dir build/native --output-on-failure --timeout $limit -j "$(nproc)" > "$log" 2>&1
  status=$?
  [ $status -eq 0 ] || cat "$log"
  local total bad
  total=$(sed -nE 's/.*tests failed out of ([0-9]+).*/\1/p' "$log" | tail -1)
  bad=$(sed -nE 's/.*, ([0-9]+) tests? failed out of.*/\1/p' "$log" | tail -1)
  add native $status $((${total:-0} - ${bad:-0})) "${bad:-0}" 0
}

capi_tests() {
  local log="$logs/capi.log" tests=build/capi-tests status
  SECONDS=0
  {
    bindings/c/tests/models.sh "$tests/models" &&
      cmake -S bindings/c/tests -B "$tests/build" -G Ninja -DCMAKE_PREFIX_PATH="$PWD/artifacts" -DMODELS="$PWD/$tests/models" -DGOLDENS="$PWD/parity-tests/goldens" &&
      ninja -C "$tests/build" --quiet
  } > "$log" 2>&1 || { cat "$log"; add capi 1 0 1 0; return; }
  OMP_NUM_THREADS=1 ctest --test-dir "$tests/build" --output-on-failure --timeout $limit -j "$(nproc)" >> "$log" 2>&1
  status=$?
  [ $status -eq 0 ] || cat "$log"
  local total bad
  total=$(sed -nE 's/.*tests failed out of ([0-9]+).*/\1/p' "$log" | tail -1)
  bad=$(sed -nE 's/.*, ([0-9]+) tests? failed out of.*/\1/p' "$log" | tail -1)
  add capi $status $((${total:-0} - ${bad:-0})) "${bad:-0}" 0
}

python_tests() {
  local log="$logs/python.log" status
  SECONDS=0
  PYTHONFAULTHANDLER=1 limited .venv/bin/python -m pytest -q -rs bindings/python/tests > "$log" 2>&1
  status=$?
  [ $status -eq 0 ] || cat "$log"
  grep -E '^SKIPPED' "$log"
  # The last line is such as "1 failed, 170 passed, 1 skipped, 2 errors in 80.12s".
  local summary
  summary=$(tail -1 "$log")
  count() { grep -oE "[0-9]+ $1" <<< "$summary" | grep -oE '[0-9]+' || echo 0; }
  add python $status "$(count passed)" $(($(count failed) + $(count error))) "$(count skipped)"
}

for name in Architecture.Tests Tokenizers.Tests Torch.Tests Checkpoints.Tests; do dotnet_tests $name; done
native_tests
capi_tests
for name in Models.Tests Tasks.Tests Cli.Tests ParityTests; do dotnet_tests $name; done
python_tests

[ $skipped -eq 0 ] || echo "$skipped skipped, for the reasons named above"
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
