# Counts tests over several programs: sourced by test.sh, check-newest.sh, check-windows.sh and check-packages.sh, which set `logs`.
# A program that ends without a count (a crash, say) counts as one failure, and so does one that does not end.
passed=0 failed=0 skipped=0
# The tests that failed, for the end of a log of which only the end is read.
names=()
# Several times the longest run on a busy machine: a later one hangs. SIGABRT makes Python and .NET say where.
limit=1800
mkdir -p "$logs"

limited() { # command ...: with that limit, and a line about it where it was reached
  local status=0 start=$SECONDS
  timeout --signal=ABRT --kill-after=30 $limit "$@" || status=$?
  [ $((SECONDS - start)) -lt $limit ] || echo "ended after $limit s, since it hung: $*"
  return $status
}

add() { # name, exit status, passed, failed, skipped
  local p=${3:-0} f=${4:-0} s=${5:-0}
  if [ "$2" -ne 0 ] && [ "$f" -eq 0 ]; then f=1; fi
  if [ "$2" -eq 0 ] && [ $((p + f)) -eq 0 ]; then f=1; echo "   $1 ran no test"; fi
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
  printf '== %-28s %5d passed %3d failed %3d skipped  %4ds\n' "$1" "$p" "$f" "$s" "$SECONDS"
}

counted() { # name, function that turns a log into "passed failed skipped", command ...
  local name=$1 counts=$2 log="$logs/$1.log" status=0
  shift 2
  SECONDS=0
  limited "$@" > "$log" 2>&1 || status=$?
  [ $status -eq 0 ] || cat "$log"
  if [ $status -ne 0 ]; then
    mapfile -t -O ${#names[@]} names < <(failures "$log" | sed "s/^/failed in $name: /")
  fi
  # shellcheck disable=SC2046
  add "$name" $status $($counts "$log")
}

# Names as dotnet test, pytest and ctest print them, in this order.
failures() { # log
  tr -d '\r' < "$1" | sed -nE -e 's/^  Failed (.*) \[[0-9].*\]$/\1/p' -e 's/^(FAILED|ERROR) ([^ ]+::.*)$/\2/p' -e 's/^[ \t]+[0-9]+ - (.*\((Failed|Timeout|SEGFAULT|Subprocess aborted).*)$/\1/p' | cut -c1-300 | head -50
}

check() { # name, command ...: one test that passes where the command does
  local name=$1 log="$logs/${1//[^A-Za-z0-9]/-}.log" status=0
  shift
  SECONDS=0
  limited "$@" > "$log" 2>&1 || status=$?
  [ $status -eq 0 ] || { tail -60 "$log"; names+=("failed: $name"); }
  add "$name" $status $((status == 0)) $((status != 0)) 0
}

# Returns the counts in each runner's last lines, as "passed failed skipped".
vstest_counts() { sed -nE 's/.*Failed: *([0-9]+), Passed: *([0-9]+), Skipped: *([0-9]+), Total.*/\2 \1 \3/p' "$1" | tail -1; }
platform_counts() { tr -d '\r' < "$1" | sed -nE 's/^ +(failed|succeeded|skipped): ([0-9]+)$/\1 \2/p' | tail -3 | sort -r | awk '{ n[$1] = $2 } END { if (NR) print n["succeeded"], n["failed"], n["skipped"] }'; }
parity_counts() { tr -d '\r' < "$1" | sed -nE 's/^([0-9]+) passed, ([0-9]+) failed(, ([0-9]+) skipped)?$/\1 \2 \4/p' | tail -1; }
# The last line is such as "1 failed, 170 passed, 1 skipped, 2 errors in 80.12s".
pytest_counts() {
  local summary p f e s
  summary=$(tail -1 "$1")
  count() { grep -oE "[0-9]+ $1" <<< "$summary" | grep -oE '[0-9]+' || echo 0; }
  p=$(count passed) f=$(count failed) e=$(count error) s=$(count skipped)
  echo "$p $((f + e)) $s"
}
ctest_counts() {
  local total bad
  total=$(sed -nE 's/.*tests failed out of ([0-9]+).*/\1/p' "$1" | tail -1)
  bad=$(sed -nE 's/.*, ([0-9]+) tests? failed out of.*/\1/p' "$1" | tail -1)
  echo "$((${total:-0} - ${bad:-0})) ${bad:-0} 0"
}

close() { # the closing line; the exit status says whether all passed
  [ ${#names[@]} -eq 0 ] || printf '%s\n' "${names[@]}"
  [ $skipped -eq 0 ] || echo "$skipped skipped, for the reasons named above"
  echo "$passed passed, $failed failed"
  [ $failed -eq 0 ]
}
