#!/usr/bin/env bash
# Runs the native test programs as `make native` built them, not compiled anew, against the libtorch of a Debian root folder: one
# binary serves every libtorch. Needs root. Not part of the tests: the root folder takes 3 GB.
#   tools/check-native-newest.sh DIR [FILTER]     DIR: the root folder, with python3-torch or libtorch-dev; FILTER: of GoogleTest
# The last line is "native tests on libtorch_cpu.so.2.N: all N passed" or says how many failed.
set -euo pipefail
dir=$(realpath "${1:?usage: tools/check-native-newest.sh DIR [FILTER] (a Debian root folder with PyTorch)}")
filter=${2:-*}
root=$(realpath "$(dirname "$0")/..")
build=${LONGFORMER_BUILD:-$root/build/native}
artifacts=${LONGFORMER_ARTIFACTS:-$root/artifacts}
[ "$(id -u)" = 0 ] || { echo "check-native-newest: chroot needs root; run it with sudo" >&2; exit 1; }
[ -x "$dir/usr/bin/env" ] || { echo "check-native-newest: $dir is no root folder" >&2; exit 1; }
programs=(longformer_ops_tests longformer_kernel_tests longformer_border_tests)
for program in "${programs[@]}"; do
  [ -x "$build/tests/$program" ] || { echo "check-native-newest: no $build/tests/$program; run make native" >&2; exit 1; }
done
library=$(find "$dir/usr/lib" "$dir/usr/local/lib" -name 'libtorch_cpu.so*' -printf '%p\n' 2>/dev/null | sort | head -1)
[ -n "$library" ] || { echo "check-native-newest: no libtorch_cpu.so in $dir" >&2; exit 1; }
libtorch=${library#"$dir"}
libtorch=${libtorch%/*}

inside=/root/longformer-native
rm -rf "${dir:?}$inside"
mkdir -p "$dir$inside"
cp -r "${programs[@]/#/$build/tests/}" "$build/tests/impostors" "$artifacts/liblongformer_ops.so" "$dir$inside/"
echo "check-native-newest: $(sha256sum < "$artifacts/liblongformer_ops.so" | cut -c1-16) liblongformer_ops.so on $libtorch in $dir"

# One thread for each program and the programs side by side: OpenMP threads that spin would fight each other.
shards=$(nproc) jobs=()
for program in "${programs[@]}"; do
  for ((shard = 0; shard < shards; shard++)); do jobs+=("$program $shard"); done
done
run() { # "program shard"
  set -- $1
  chroot "$dir" env HOME=/root LC_ALL=C.UTF-8 OMP_NUM_THREADS=1 LIBTORCH="$libtorch" LONGFORMER_NATIVE_DIR=$inside \
    GTEST_TOTAL_SHARDS="$shards" GTEST_SHARD_INDEX="$2" timeout --signal=ABRT 1800 "$inside/$1" --gtest_filter="$filter" --gtest_brief=1 \
    > "$dir$inside/$1.$2.log" 2>&1 || echo "$1 shard $2 ended with $?" >> "$dir$inside/$1.$2.log"
}
export -f run
export dir inside libtorch shards filter
printf '%s\n' "${jobs[@]}" | xargs -d '\n' -P "$shards" -I '{}' bash -c 'run "$1"' run '{}'

passed=0 failed=0
for log in "$dir$inside"/*.log; do
  p=$(sed -nE 's/^\[  PASSED  \] ([0-9]+) tests?\.$/\1/p' "$log")
  f=$(sed -nE 's/^ ?([0-9]+) FAILED TESTS?$/\1/p' "$log")
  # A program that ends without a count crashed.
  if [ -z "$p" ] || { grep -q ' ended with ' "$log" && [ -z "$f" ]; }; then f=$((${f:-0} + 1)); fi
  passed=$((passed + ${p:-0})) failed=$((failed + ${f:-0}))
  if [ "${f:-0}" -gt 0 ]; then
    echo "== ${log##*/}"
    grep -vE '^\[ +(OK|RUN|-+) ' "$log" | head -200
  fi
done
version=$(basename "$(readlink -f "$library")")
if [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]; then
  echo "native tests on $version: all $passed passed"
else
  echo "native tests on $version: $passed passed, $failed failed"
  exit 1
fi
