#!/usr/bin/env bash
# leak.sh PROGRAM FOLDER: runs the leak program, built with AddressSanitizer, for few and for many rounds. The leak checker does not see into
# the managed heap, so that the runtime's own few blocks, made once, look lost; the check is that their sum does not grow with the
# rounds, and that nothing else is reported. (valgrind 3.19 cannot start the runtime: it ends in an abort before the first call.)
set -euo pipefail
run() { # rounds
  local log
  log=$(ASAN_OPTIONS=detect_leaks=1 LSAN_OPTIONS=exitcode=0 "$1" "$2" "$3" 2>&1) || { echo "$log"; return 1; }
  if grep -Eq 'ERROR: AddressSanitizer|runtime error:' <<< "$log"; then echo "$log"; return 1; fi
  sed -nE 's/^SUMMARY: AddressSanitizer: ([0-9]+) byte.*/\1/p' <<< "$log"
}
few=$(run "$1" "$2" 3)
many=$(run "$1" "$2" 23)
echo "bytes the checker cannot follow: ${few:-0} after 3 rounds, ${many:-0} after 23"
[ $((${many:-0} - ${few:-0})) -lt 1024 ]
