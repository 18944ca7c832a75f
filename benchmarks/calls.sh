#!/usr/bin/env bash
# Measures a call over one token from C# and C, and how long a process takes to its first embedding beside libtorch's own loading.
# Needs a built tree (`make build`) and a C compiler.
set -euo pipefail
cd "$(dirname "$0")/.."
export OMP_NUM_THREADS=1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
least() { sort -n | head -1; }

dotnet run -c Release benchmarks/calls/calls.cs

bindings/c/tests/models.sh "$work/models" >/dev/null
gcc -O2 -o "$work/start" benchmarks/calls/start.c -Iartifacts/include -Lartifacts -llongformer -lm -Wl,-rpath,"$PWD/artifacts"
gcc -O2 -o "$work/torch_alone" benchmarks/calls/torch_alone.c -ldl
"$work/start" "$work/models/encoder" | tr ';' '\n' | sed -nE 's/^ *((a call|attention).*)/C: \1/p'

libtorch=$(readlink -f artifacts/libtorch)/libtorch_cpu.so
for _ in 1 2 3 4 5; do
  "$work/torch_alone" "$libtorch" >> "$work/alone"
  "$work/start" "$work/models/encoder" | sed -nE 's/^start to first embedding of [0-9]+ tokens: ([0-9]+) ms.*/\1/p' >> "$work/own"
  { TIMEFORMAT=%R; time ./longformer info "$work/models/encoder" >/dev/null; } 2>> "$work/info"
done
echo "C: start to first embedding of about 500 tokens: $(least < "$work/own") ms, of which libtorch alone: $(least < "$work/alone") ms"
echo "command line: info on a tiny folder, the whole process: $(least < "$work/info") s"
