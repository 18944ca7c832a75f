#!/usr/bin/env bash
# same.sh ANSWER MODELS WORK: the C example gives the answers that the command line gives, which runs the same C# code on the .NET runtime.
set -euo pipefail
root=$(cd "$(dirname "$0")/../../.." && pwd)
question="Who reads a long document?"
document="Somebody wrote it in 2020. Everybody who has the time reads a long document about attention, from its first word to the last."
printf '%s' "$document" > "$3/same.txt"
"$root/longformer" answer "$2/question_answering" --question "$question" --input "$3/same.txt" --top 3 --json |
  tr -d ' \n' | grep -oE '"start":[0-9]+,"end":[0-9]+' | sed -E 's/"start":([0-9]+),"end":([0-9]+)/[\1..\2]/' > "$3/same.command-line"
"$1" "$2/question_answering" "$question" "$document" | grep -oE '\[[0-9]+\.\.[0-9]+\]' > "$3/same.c"
[ "$(wc -l < "$3/same.c")" = 3 ]
diff "$3/same.command-line" "$3/same.c"
cat "$3/same.c"
