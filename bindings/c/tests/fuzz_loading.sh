#!/usr/bin/env bash
# fuzz_loading.sh PROGRAM GOLDENS WORK SECONDS: lays out whole files and a seed corpus of them, and lets the fuzzer work. Its findings (an
# input that ends the process, or a call that answers wrongly) stays in WORK/found, and ends this with 1.
set -euo pipefail
program=$1 goldens=$2 work=$3 seconds=$4
rm -rf "$work/whole" && mkdir -p "$work/whole/"{model,led,bpe,tokenizer,wordpiece} "$work/corpus" "$work/found"
cp "$goldens/models/model_b1_n5/"{config.json,model.safetensors} "$work/whole/model/"
cp "$goldens/led/model/"{config.json,model.safetensors} "$work/whole/led/"
echo '{"num_beams": 4, "max_length": 20, "early_stopping": true, "bad_words_ids": [[5, 6]], "forced_bos_token_id": 0}' > "$work/whole/led/generation_config.json"
cp "$goldens/tokenizer/tiny/"{vocab.json,merges.txt} "$work/whole/bpe/"
echo '{"add_prefix_space": true, "model_max_length": 512, "mask_token": {"content": "<mask>", "lstrip": true}, "bos_token": "<s>"}' > "$work/whole/bpe/tokenizer_config.json"
printf '%s\n' '[PAD]' '[UNK]' '[CLS]' '[SEP]' '[MASK]' a b some text '##s' '##ome' , . '!' > "$work/whole/wordpiece/vocab.txt"
cat > "$work/whole/tokenizer/tokenizer.json" <<'JSON'
{"version": "1.0", "truncation": null, "padding": null,
 "added_tokens": [{"id": 0, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true},
  {"id": 2, "content": "</s>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}],
 "normalizer": null, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
 "post_processor": {"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0], "trim_offsets": true, "add_prefix_space": false},
 "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
 "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": "", "end_of_word_suffix": "", "fuse_unk": false,
  "vocab": {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "S": 4, "o": 5, "m": 6, "e": 7, "om": 8, "ome": 9, "Some": 10, "t": 11, "x": 12, "\u0120": 13},
  "merges": ["o m", "om e", "S ome"]}}
JSON
# The order of the kinds in fuzz_loading.c.
seeds=(model/config.json model/model.safetensors bpe/vocab.json bpe/merges.txt tokenizer/tokenizer.json wordpiece/vocab.txt led/config.json
  led/generation_config.json bpe/tokenizer_config.json)
for i in "${!seeds[@]}"; do
  { printf "\\x0$i"; cat "$work/whole/${seeds[$i]}"; } > "$work/corpus/seed-$i"
done
grep -ohE '"[a-z_]+"' "$work/whole/model/config.json" "$work/whole/led/config.json" "$work/whole/tokenizer/tokenizer.json" "$work/whole/bpe/tokenizer_config.json" |
  sort -u | sed 's/"//g; s/.*/"&"/' > "$work/words"
echo "$(ls "$work/corpus" | wc -l) inputs to begin with"
SEEDS="$work/whole" WORK="$work/files" OMP_NUM_THREADS=1 "$program" -max_total_time="$seconds" -timeout=30 -rss_limit_mb=6000 -max_len=140000 -len_control=0 \
  -dict="$work/words" -artifact_prefix="$work/found/" -print_final_stats=1 -verbosity=1 "$work/corpus" 2> "$work/log" || { tail -40 "$work/log"; exit 1; }
grep -E 'stat::|^Done' "$work/log"
