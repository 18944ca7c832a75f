#!/usr/bin/env bash
# use.sh WAY PREFIX MODELS WORK: builds and runs the examples as a user would. WAY: cmake (find_package), pkg-config (a command line), or
# install (the same from an installed copy, moved to another folder, with the whole program of the header's first lines).
set -euo pipefail
way=$1 prefix=$2 models=$3 work=$4
here=$(cd "$(dirname "$0")" && pwd)
examples=$here/../examples
rm -rf "$work" && mkdir -p "$work"
flags() { PKG_CONFIG_PATH=$prefix/lib/pkgconfig pkg-config --cflags --libs longformer; }

run_examples() { # folder of the programs
  printf 'A document about attention.' > "$work/one.txt"
  printf 'Another one, caf\xc3\xa9.' > "$work/two.txt"
  "$1/encode" "$models/encoder" "$work/one.txt" "$work/two.txt" | tee "$work/encode.out"
  [ "$(grep -c ': 64 values' "$work/encode.out")" = 2 ]
  "$1/answer" "$models/question_answering" "Who wrote it?" "It was written by somebody." | tee "$work/answer.out"
  [ "$(wc -l < "$work/answer.out")" = 3 ]
  "$1/summarize" "$models/led" "A long document about attention, read whole." | tee "$work/summarize.out"
  grep -q 'tokens, score' "$work/summarize.out"
  "$1/similarity" "$models/encoder" "one text" "one text" | tee "$work/similarity.out"
  grep -qx '1.0000' "$work/similarity.out"
  printf '{"text": "lovely fine", "label": "good"}\n{"text": "awful poor", "label": "bad"}\n' > "$work/reviews.jsonl"
  rm -rf "$work/trained"
  "$1/train" "$models/masked_lm" "$work/reviews.jsonl" "$work/reviews.jsonl" "$work/trained" 2> "$work/train.err" | tee "$work/train.out"
  grep -qE '^steps +4$' "$work/train.out"
  [ "$(grep -c '"kind":"step"' "$work/train.err")" = 4 ] && [ -f "$work/trained/curves.svg" ]
  # Errors are one line and a status, not a crash.
  if "$1/answer" "$work" question document 2> "$work/error.out"; then exit 1; fi
  grep -q 'config.json' "$work/error.out"
}

case $way in
  cmake)
    cmake -S "$examples" -B "$work/build" -DCMAKE_PREFIX_PATH="$prefix" > "$work/configure.log"
    cmake --build "$work/build" > "$work/build.log"
    run_examples "$work/build"
    ;;
  pkg-config)
    # shellcheck disable=SC2046
    for example in encode answer summarize train; do cc "$examples/$example.c" -o "$work/$example" $(flags); done
    # shellcheck disable=SC2046
    c++ -std=c++11 "$examples/similarity.cpp" -o "$work/similarity" $(flags)
    run_examples "$work"
    ;;
  install)
    "$here/../../../tools/capi.sh" "$work/first"
    mv "$work/first" "$work/moved here"
    prefix="$work/moved here"
    [ "$(PKG_CONFIG_PATH=$prefix/lib/pkgconfig pkg-config --modversion longformer)" = "$(sed -nE 's:.*<Version>(.*)</Version>.*:\1:p' "$here/../../../Directory.Build.props")" ]
    # The program in the header's opening comment.
    sed -n '/#include <longformer.h>/,/^ \*     }$/p' "$prefix/include/longformer.h" | sed -E 's/^ \*( {5})?//' > "$work/program.c"
    eval cc -std=c99 -Wall -Wextra -Werror "$work/program.c" -o "$work/program" "$(flags)"
    "$work/program" "$models/encoder" | tee "$work/program.out"
    grep -q '2 vectors of 64 floats' "$work/program.out"
    cmake -S "$examples" -B "$work/build" -DCMAKE_PREFIX_PATH="$prefix" > "$work/configure.log"
    cmake --build "$work/build" --target encode > "$work/build.log"
    ;;
esac
