#!/usr/bin/env bash
# models.sh FOLDER: tiny checkpoints with seeded random weights for the tests, by the command line that the build made. Does nothing
# where they are and this file has not changed since.
set -euo pipefail
root=$(cd "$(dirname "$0")/../../.." && pwd)
folder=$1
[ ! "$folder/complete" -nt "$0" ] || exit 0
rm -rf "$folder" && mkdir -p "$folder"
make_one() { # name, options
  "$root/longformer" random "$folder/$1" --tokenizer "$root/parity-tests/goldens/tokenizer/roberta" "${@:2}" > /dev/null
}
make_one encoder --seed 1
make_one led --size led-tiny --seed 2
make_one question_answering --head question-answering --seed 3
make_one sequence_classification --head sequence-classification --labels a,b,c --seed 4
make_one span_classification --head span-classification --labels PER,ORG --seed 9
make_one coreference --head coreference --seed 10
make_one token_classification --head token-classification --labels O,B-PER,I-PER --seed 5
make_one multiple_choice --head multiple-choice --seed 6
make_one masked_lm --head masked-lm --seed 7
touch "$folder/complete"
