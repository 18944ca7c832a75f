#!/usr/bin/env bash
# Checks what the shipped libraries ask of a machine: nothing newer than glibc 2.34 and libstdc++ 3.4.29 (the wheel's manylinux_2_34), and no
# libtorch when they are loaded.
#   tools/symbols.sh LIBRARY...
set -euo pipefail
failed=0
for library in "$@"; do
  name=$(basename "$library")
  for limit in GLIBC_2.34 GLIBCXX_3.4.29 CXXABI_1.3.13; do
    newest=$(objdump -T "$library" | grep -oE "\b${limit%%_*}_[0-9.]+" | sort -uV | tail -1 || true)
    [ -n "$newest" ] || continue
    if [ "$(printf '%s\n' "$newest" $limit | sort -V | tail -1)" != $limit ]; then
      echo "$name needs $newest, expected $limit at most: $(objdump -T "$library" | grep -F "($newest)" | awk '{print $NF}' | head -5 | xargs)"
      failed=1
    else
      echo "$name: $newest"
    fi
  done
  needed=$(readelf -d "$library" | sed -nE 's/.*\(NEEDED\).*\[(.*)\]/\1/p' | xargs)
  echo "$name needs $needed"
  for one in $needed; do
    case $one in
      libc.so.6 | libm.so.6 | libdl.so.2 | libpthread.so.0 | librt.so.1 | ld-linux-x86-64.so.2 | libgcc_s.so.1 | libstdc++.so.6) ;;
      *) echo "$name needs $one when it is loaded, expected the C and C++ runtime alone"; failed=1 ;;
    esac
  done
done
exit $failed
