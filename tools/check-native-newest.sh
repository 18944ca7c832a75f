#!/usr/bin/env bash
# Runs the native test programs as `make native` built them, not compiled again, against the libtorch of a Debian root folder
# (tools/root-folder.sh): one binary serves every libtorch. Needs root.
#   tools/check-native-newest.sh DIR [FILTER]     DIR: the root folder, with python3-torch or libtorch-dev; FILTER: of GoogleTest
# The last line is "native tests on libtorch_cpu.so.2.N: all N passed", or "...: N passed, N failed".
set -euo pipefail
dir=$(realpath "${1:?usage: tools/check-native-newest.sh DIR [FILTER] (a Debian root folder with PyTorch)}")
filter=${2:-*}
cd "$(dirname "$0")/.."
tests=build/native/tests logs=build/newest-logs/native
programs=(longformer_ops_tests longformer_kernel_tests longformer_border_tests)
for program in "${programs[@]}"; do
  [ -x "$tests/$program" ] || { echo "check-native-newest: no $tests/$program; run make native" >&2; exit 1; }
done
library=$(find "$dir/usr/lib" "$dir/usr/local/lib" -name 'libtorch_cpu.so*' 2>/dev/null | sort | head -1)
[ -n "$library" ] || { echo "check-native-newest: no libtorch_cpu.so in $dir" >&2; exit 1; }
libtorch=$(dirname "${library#"$dir"}")
rm -rf "$logs" && mkdir -p "$logs"

# One thread for each program and the programs side by side: OpenMP threads that spin would fight each other.
shards=$(nproc)
run() { # program shard
  tools/in-root.sh "$dir" env OMP_NUM_THREADS=1 LIBTORCH="$libtorch" GTEST_TOTAL_SHARDS="$shards" GTEST_SHARD_INDEX="$2" \
    timeout --signal=ABRT 1800 "$tests/$1" --gtest_filter="$filter" --gtest_brief=1 > "$logs/$1.$2.log" 2>&1 ||
    echo "$1, part $2, ended with $?" >> "$logs/$1.$2.log"
}
export -f run
export dir filter tests logs libtorch shards
for program in "${programs[@]}"; do
  for ((shard = 0; shard < shards; shard++)); do echo "$program $shard"; done
done | xargs -P "$shards" -L 1 bash -c 'run "$1" "$2"' run

passed=0 failed=0
for log in "$logs"/*.log; do
  p=$(sed -nE 's/^\[  PASSED  \] ([0-9]+) tests?\.$/\1/p' "$log")
  f=$(sed -nE 's/^ *([0-9]+) FAILED TESTS?$/\1/p' "$log")
  # A program that ends without a count crashed.
  if [ -z "$p" ] || { [ -z "$f" ] && grep -q ', part [0-9]*, ended with ' "$log"; }; then f=$((${f:-0} + 1)); fi
  passed=$((passed + ${p:-0})) failed=$((failed + ${f:-0}))
  [ "${f:-0}" -eq 0 ] || { echo "== $log"; tail -200 "$log"; }
done
result="native tests on $(basename "$(readlink -f "$library")"):"
if [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]; then
  echo "$result all $passed passed"
else
  echo "$result $passed passed, $failed failed"
  exit 1
fi
