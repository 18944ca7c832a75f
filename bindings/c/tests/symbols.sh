#!/usr/bin/env bash
# symbols.sh LIBRARY HEADER: the library exports exactly the functions that the header declares, has its soname, looks beside itself for
# its own libraries, stays under its size, and needs nothing but the C library.
set -euo pipefail
library=$1 header=$2
exported=$(nm -D --defined-only "$library" | awk '$2 != "A" {print $3}' | sed 's/@.*//' | sort)
declared=$(grep -oE '^LF_API .*' "$header" | grep -oE 'lf_[a-z0-9_]+\(' | tr -d '(' | sort)
diff <(echo "$declared") <(echo "$exported") || { echo "declared (<) and exported (>) differ"; exit 1; }
readelf -d "$library" | grep -q 'SONAME.*\[liblongformer.so.1\]'
# shellcheck disable=SC2016
readelf -d "$library" | grep -q 'RUNPATH.*\[$ORIGIN\]'
readelf -d "$library" | grep -q 'NODELETE'
others=$(readelf -d "$library" | sed -nE 's/.*\(NEEDED\).*\[(.*)\]/\1/p' | grep -vE '^(libc|libm|libdl|libpthread|librt|libz|ld-linux-x86-64)\.so' || true)
[ -z "$others" ] || { echo "needs $others"; exit 1; }
bytes=$(stat -Lc %s "$library")
echo "$(wc -l <<< "$exported") functions, $bytes bytes"
# The readers of the paper's data sets (XML, regular expressions) are a part of it.
[ "$bytes" -lt 17000000 ]
