#!/usr/bin/env bash
# Whether HF's transformers loads what this project converts and saves, with no missing and no unexpected key, and whether random
# models with random inputs and options compute here what they compute there (parity-tests/generators); coreference, which HF lacks, by a head of
# PyTorch's own over HF's body.
# Needs root, and a root folder with python3, torch and transformers. Not part of the tests: such a folder takes 3 GB.
#   tools/check-hf.sh DIR     DIR: the root folder
set -euo pipefail
dir=$(realpath "${1:?usage: tools/check-hf.sh DIR (a root folder with python3 and transformers)}")
root=$(realpath "$(dirname "$0")/..")
[ "$(id -u)" = 0 ] || { echo "check-hf: chroot needs root; run it with sudo" >&2; exit 1; }
inside=/root/longformer-check-hf
work=$dir$inside
in_root() { "$root/tools/in-root.sh" "$dir" env OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 TQDM_DISABLE=1 "$@"; }
longformer() { "${LONGFORMER:-$root/longformer}" "$@" > /dev/null; }

rm -rf "${work:?}"
mkdir -p "$work/from" "$work/to"
cp "$root/tools/check_hf.py" "$work/"
in_root python3 $inside/check_hf.py make $inside/from

for source in "$work"/from/*; do
  name=$(basename "$source")
  case $name in
    Roberta*|Bert*) longformer convert "$source" --to longformer --positions 128 --window 16 --output "$work/to/$name-to-longformer" ;;
    MBart*) ;;  # made with LayerNorm before the layers, which HF's LED does not have: docs/checkpoints.md
    Bart*) longformer convert "$source" --to led --window 16 --output "$work/to/$name-to-led" ;;
    LED*) longformer convert "$source" --to led --positions 256 --output "$work/to/$name-longer" ;;
    Longformer*) longformer convert "$source" --to longformer --positions 32768 --output "$work/to/$name-longer" ;;
  esac
  case $name in
    *.bin) longformer convert "$source" --to safetensors --output "$work/to/$name-to-safetensors" ;;
  esac
done

# Checkpoints of allenai's own code, from the goldens.
goldens=$root/parity-tests/goldens/conversion
mkdir "$work/led" "$work/roberta"
cp "$goldens/bart_to_led/allenai.safetensors" "$work/led/model.safetensors"
cp "$goldens/bart_to_led/allenai.config.json" "$work/led/config.json"
longformer convert "$work/led" --to led --output "$work/to/allenai-LED"
cp "$goldens/torch_checkpoint/pytorch_model_legacy.bin" "$work/roberta/pytorch_model.bin"
cp "$goldens/roberta_to_longformer/config.json" "$work/roberta/config.json"
longformer convert "$work/roberta" --to safetensors --output "$work/to/allenai-Longformer.bin"

# Folders that PretrainedModel.Save writes.
tests=$root/build/dotnet/bin/LongformerInterop.Models.Tests/release/LongformerInterop.Models.Tests.dll
if [ -f "$tests" ]; then
  LONGFORMER_SAVED=$work/saved dotnet test "$tests" --filter "FullyQualifiedName~SaveTests.Every" > "$work/saved.log" || { cat "$work/saved.log"; exit 1; }
  for saved in "$work"/saved/*; do mv "$saved" "$work/to/saved-$(basename "$saved")"; done
else
  echo "check-hf: tests/Models.Tests is not built, what Save writes is left out"
fi

in_root python3 $inside/check_hf.py load $inside/to

cp "$root"/parity-tests/generators/*.py "$work/"

# A folder that samples/TorchSharpClassifier trains and saves: HF's predictions are those of the command line.
sample=$root/build/dotnet/bin/TorchSharpClassifier/release/TorchSharpClassifier.dll
if [ -f "$sample" ]; then
  mkdir "$work/sample"
  in_root python3 $inside/check_hf.py reviews $inside/sample
  longformer random "$work/sample/base" --tokens 128 --tokenizer "$root/parity-tests/goldens/tokenizer/roberta"
  dotnet "$sample" "$work/sample/base" "$work/sample/train.jsonl" "$work/sample/held.jsonl" "$work/sample/classifier" 6 > "$work/log" || { cat "$work/log"; exit 1; }
  "${LONGFORMER:-$root/longformer}" classify "$work/sample/classifier" --jsonl "$work/sample/held.jsonl" --json > "$work/sample/predictions.json"
  in_root python3 $inside/check_hf.py classify $inside/sample/classifier $inside/sample/held.jsonl $inside/sample/predictions.json
else
  echo "check-hf: samples/TorchSharpClassifier is not built, what it saves is left out"
fi

# The model in the box: what HF generates for this project's own documentation.
if [ -f "$root/models/default/config.json" ]; then
  mkdir "$work/box"
  inputs=()
  for text in "$root"/docs/*.md; do inputs+=(--input "$text"); done
  "${LONGFORMER:-$root/longformer}" summarize "$root/models/default" "${inputs[@]}" --dtype float32 --truncate --rerank=-1 --json > "$work/box/summaries.json"
  in_root python3 $inside/check_hf.py summarize "$root/models/default" $inside/box/summaries.json "$root"/docs/*.md
fi

cp -r "$root/parity-tests/goldens/tokenizer" "$work/"
compare() { # generator, implementations of attention, its arguments
  in_root python3 "$inside/$1.py" "$inside/$1" "${@:3}" --seed "${SEED:-1}" 2> "$work/log" || { cat "$work/log"; exit 1; }
  "${LONGFORMER:-$root/longformer}" parity --attention "$2" "$work/$1" > "$work/log" || { grep -v pass "$work/log"; exit 1; }
  tail -1 "$work/log"
}
compare models all --cases "${CASES:-100}"
compare led_generate all --cases "${SETTINGS:-300}"
compare training all --cases "${TRAININGS:-20}"
compare coreference all --cases "${DOCUMENTS:-40}"
compare texts fused $inside/tokenizer --cases "${TEXTS:-3000}"
compare tokenizer_folders fused $inside/tokenizer --cases "${FOLDERS:-100}"
compare sentence_folders fused $inside/tokenizer --cases "${FOLDERS:-100}"
rm -rf "${work:?}"
