"""tokenizer_folders.py FOLDER GOLDENS [--cases N] [--seed N]: random tokenizer folders as transformers' AutoTokenizer loads them.

Runs where transformers is (tools/check-hf.sh runs it and compares). GOLDENS is a copy of parity-tests/goldens/tokenizer, for its vocabularies.
Writes FOLDER/tokenizer/NNN as parity cases. Variations: which files there are, tokenizer_class and model_type, tokenizer_config.json
against tokenizer.json, where special tokens are named, normalizers, post-processors, merges, vocabularies with gaps, doubled and empty lines.
A folder that the reference refuses is left out and counted.
"""
import argparse
import json
import random
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import texts as random_texts

import transformers
from tokenizers import processors
from transformers import AutoTokenizer

transformers.logging.set_verbosity_error()

try:
    processors.RobertaProcessing(sep=("</s>", 2), cls=("<s>", 0))
except TypeError:
    # Debian's build of tokenizers does not take cls by name, which RobertaTokenizer gives by name.
    own = processors.RobertaProcessing
    processors.RobertaProcessing = lambda sep, cls, trim_offsets=True, add_prefix_space=True: own(sep, cls, trim_offsets, add_prefix_space)

UNICODE = ["NFC", "NFD", "NFKC", "NFKD"]
EXTRA = ["<doc-sep>", "<extra_0>", "@@", "[E1]", "Yesterday", "ſpecial", "  two  "]


def word_piece_normalizer(chance):
    kind = chance.random()
    if kind < 0.5:
        return {"type": "BertNormalizer", "clean_text": chance.random() < 0.8, "handle_chinese_chars": chance.random() < 0.7,
                "strip_accents": chance.choice([None, True, False]), "lowercase": chance.random() < 0.5}
    if kind < 0.6:
        return None
    return bpe_normalizer(chance) or {"type": "Lowercase"}


def bpe_normalizer(chance, depth=0):
    kind = chance.random()
    if kind < 0.25 and depth == 0:
        return None
    if kind < 0.55:
        return {"type": chance.choice(UNICODE)}
    if kind < 0.8 and depth == 0:
        return {"type": "Sequence", "normalizers": [bpe_normalizer(chance, 1) for _ in range(chance.randrange(4))]}
    return chance.choice([
        {"type": "Lowercase"}, {"type": "StripAccents"}, {"type": "Strip", "strip_left": chance.random() < 0.5, "strip_right": chance.random() < 0.5},
        {"type": "Prepend", "prepend": "x "}, {"type": "Replace", "pattern": {"String": chance.choice(["  ", "e", "''"])}, "content": chance.choice(["", " ", "éa"])},
        {"type": "Nmt"},
        {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": chance.random() < 0.5}])


def added(chance, content, vocabulary, special=None):
    special = chance.random() < 0.6 if special is None else special
    return {"content": content, "single_word": chance.random() < 0.2, "lstrip": chance.random() < 0.3, "rstrip": chance.random() < 0.2,
            "normalized": chance.random() < 0.4, "special": special}


def template(chance, cls, sep, vocabulary):
    if cls not in vocabulary or sep not in vocabulary:
        return None
    piece = lambda token: {"SpecialToken": {"id": token, "type_id": 0}}
    a, b = {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}
    return {"type": "TemplateProcessing", "single": [piece(cls), a, piece(sep)], "pair": [piece(cls), a, piece(sep), b, piece(sep)][: chance.choice([4, 5])],
            "special_tokens": {t: {"id": t, "ids": [vocabulary[t]], "tokens": [t]} for t in (cls, sep)}}


def post_processor(chance, bpe, names, vocabulary):
    cls, sep = names["cls_token"], names["sep_token"]
    t = template(chance, cls, sep, vocabulary)
    level = {"type": "ByteLevel", "add_prefix_space": chance.random() < 0.5, "trim_offsets": chance.random() < 0.7, "use_regex": True}
    if t is None:
        return chance.choice([None, level if bpe else None])
    roberta = {"type": "RobertaProcessing", "sep": [sep, vocabulary[sep]], "cls": [cls, vocabulary[cls]], "trim_offsets": chance.random() < 0.7,
               "add_prefix_space": chance.random() < 0.5}
    if not bpe:
        return chance.choice([t, {"type": "BertProcessing", "sep": [sep, vocabulary[sep]], "cls": [cls, vocabulary[cls]]}])
    return chance.choice([t, roberta, roberta, level, {"type": "Sequence", "processors": [t, level]}, {"type": "Sequence", "processors": [level, t]}, None])


def vocabulary_of(goldens, bpe, chance):
    if bpe:
        vocabulary = json.loads((goldens / "tiny/vocab.json").read_text())
        merges = [line for line in (goldens / "tiny/merges.txt").read_text().split("\n")[1:] if line]
        if chance.random() < 0.4:
            for token in ["<mask>", "<unk>", "<pad>", "</s>", "<s>"][: chance.randrange(1, 6)]:
                vocabulary.pop(token, None)
        if chance.random() < 0.3:
            for byte in chance.sample("zQ%7é§", 2):
                merges = [m for m in merges if byte not in m]
                vocabulary = {t: i for t, i in vocabulary.items() if byte not in t}
    else:
        vocabulary = {t: i for i, t in enumerate((goldens / "wordpiece/vocab.txt").read_text().split("\n")) if t}
        merges = None
    if chance.random() < 0.4:  # gaps
        offset, moved = 0, {}
        for token, i in sorted(vocabulary.items(), key=lambda e: e[1]):
            offset += chance.choice([0] * 40 + [1, 5])
            moved[token] = i + offset
        vocabulary = moved
    return vocabulary, merges


def make(folder, goldens, chance):
    bpe = chance.random() < 0.6
    vocabulary, merges = vocabulary_of(goldens, bpe, chance)
    names = {"bos_token": "<s>", "eos_token": "</s>", "sep_token": "</s>", "cls_token": "<s>", "unk_token": "<unk>", "pad_token": "<pad>", "mask_token": "<mask>"} if bpe \
        else {"unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]", "mask_token": "[MASK]"}
    files = chance.choice(["json", "json", "json", "vocabulary"])
    present = [t for t in dict.fromkeys(names.values()) if t in vocabulary]
    extra = chance.sample(EXTRA, chance.choice([0, 0, 1, 3]))

    config = {"model_type": chance.choice(["longformer", "led", "roberta", "bart"] if bpe else ["bert", "distilbert", "longformer"]), "transformers_version": "5.12.1"}
    kind = chance.random()
    own = ["LongformerTokenizer", "LEDTokenizer", "RobertaTokenizer", "BartTokenizer", "LongformerTokenizerFast"] if bpe else ["BertTokenizer", "BertTokenizerFast", "DistilBertTokenizer"]
    settings = {"backend": "tokenizers"}
    if kind < 0.4 or (files == "vocabulary" and (kind < 0.8 or config["model_type"] == "longformer" and not bpe)):
        settings["tokenizer_class"] = chance.choice(own)
    elif kind < 0.75 and files == "json" or config["model_type"] == "longformer" and not bpe:
        settings["tokenizer_class"] = chance.choice(["PreTrainedTokenizerFast", "TokenizersBackend"])
    for key in (["add_prefix_space", "trim_offsets"] if bpe else ["do_lower_case", "strip_accents", "tokenize_chinese_chars"]) + ["split_special_tokens", "clean_up_tokenization_spaces"]:
        if chance.random() < (0.15 if key == "split_special_tokens" else 0.4):
            settings[key] = chance.random() < 0.5
    for key in ("truncation_side", "padding_side"):
        if chance.random() < 0.3:
            settings[key] = chance.choice(["left", "right"])
    if chance.random() < 0.5:
        settings["model_max_length"] = chance.choice([20, 512, 1e30])
    for role, token in names.items():
        if chance.random() < 0.5:
            flags = added(chance, token, vocabulary, special=True)
            settings[role] = token if chance.random() < 0.7 else {"__type": "AddedToken", **flags}
    where = chance.choice(["decoder", "map", "config", "extra", "names", "file", "json"])
    if extra and where == "decoder":
        settings["added_tokens_decoder"] = {
            str(vocabulary.get(t, 100000 + n)): added(chance, t, vocabulary) for n, t in enumerate([*present, *extra])}
    elif extra and where == "map":
        (folder / "special_tokens_map.json").write_text(json.dumps({"additional_special_tokens": extra, "pad_token": chance.choice(present or ["<p>"])}))
    elif extra and where == "config":
        settings["additional_special_tokens"] = extra
    elif extra and where == "extra":
        settings["extra_special_tokens"] = extra
    elif extra and where == "names":
        settings["extra_special_tokens"] = {f"name_{i}": t for i, t in enumerate(extra)}
    elif extra and where == "file":
        (folder / "added_tokens.json").write_text(json.dumps({t: 90000 + i for i, t in enumerate(extra)}))

    if files == "json":
        list_of = [{"id": vocabulary[t], **added(chance, t, vocabulary, special=True)} for t in present if chance.random() < 0.9]
        if where == "json":
            list_of += [{"id": max(vocabulary.values()) + 1 + i, **added(chance, t, vocabulary)} for i, t in enumerate(extra)]
        if bpe:
            model = {"type": "BPE", "dropout": None, "unk_token": chance.choice([None, "<unk>" if "<unk>" in vocabulary else None]),
                     "continuing_subword_prefix": chance.choice(["", None]), "end_of_word_suffix": chance.choice(["", None]), "fuse_unk": chance.random() < 0.3,
                     "byte_fallback": False, "ignore_merges": chance.random() < 0.3, "vocab": vocabulary,
                     "merges": merges if chance.random() < 0.5 else [m.split(" ") for m in merges]}
        else:
            model = {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": chance.choice([100, 100, 6]), "vocab": vocabulary}
        if chance.random() < 0.25:
            del model["type"]
        level = {"type": "ByteLevel", "add_prefix_space": chance.random() < 0.4, "trim_offsets": True, "use_regex": chance.random() < 0.85}
        truncation = {"direction": chance.choice(["Left", "Right"]), "max_length": 512, "strategy": "LongestFirst", "stride": 0} if chance.random() < 0.2 else None
        (folder / "tokenizer.json").write_text(json.dumps({
            "version": "1.0", "truncation": truncation, "padding": None, "added_tokens": list_of,
            "normalizer": bpe_normalizer(chance) if bpe else word_piece_normalizer(chance), "pre_tokenizer": level if bpe else {"type": "BertPreTokenizer"},
            "post_processor": post_processor(chance, bpe, names, vocabulary),
            "decoder": (level if bpe else {"type": "WordPiece", "prefix": "##", "cleanup": chance.random() < 0.7}) if chance.random() < 0.9 else None, "model": model}))
    elif bpe:
        (folder / "vocab.json").write_text(json.dumps(vocabulary))
        lines = ["#version: 0.2"] + (["#version: 0.2 - Trained by `huggingface/tokenizers`"] if chance.random() < 0.4 else []) + merges
        (folder / "merges.txt").write_text("\n".join(lines) + "\n")
    else:
        lines = [""] * (max(vocabulary.values()) + 1)
        for token, i in vocabulary.items():
            lines[i] = token
        lines = [token or f"[unused{i}]" for i, token in enumerate(lines)]
        if chance.random() < 0.4:
            lines[chance.randrange(200, len(lines))] = lines[chance.randrange(200, len(lines))]
        (folder / "vocab.txt").write_text("\n".join(lines) + "\n" * chance.choice([0, 1, 3]))
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    (folder / "config.json").write_text(json.dumps(config))
    return extra


def text_of(chance, extra):
    text = random_texts.text(chance)
    for token in extra:
        if chance.random() < 0.4:
            at = chance.randrange(len(text) + 1)
            text = text[:at] + chance.choice(["", " "]) + token + chance.choice(["", " ", "s"]) + text[at:]
    return text


def columns(encoding, *texts):
    return {"ids": encoding.ids, "offsets": [list(o) for o in encoding.offsets], "offsets_utf16": random_texts.utf16(encoding, *texts)}


def record(t, folder, name, extra, chance, cases):
    encode, pairs, decode, padding, truncation = [], [], [], [], []
    for _ in range(cases):
        a, b = text_of(chance, extra), text_of(chance, extra)
        encode.append({"text": a, **columns(t(a).encodings[0], a)})
        ids = [chance.randrange(2000) for _ in range(chance.randrange(12))] if chance.random() < 0.3 else encode[-1]["ids"]
        decode.append({"ids": ids, "text": t.decode(ids), "text_skip_special": t.decode(ids, skip_special_tokens=True)})
        if b:
            e = t(a, b).encodings[0]
            pairs.append({"a": a, "b": b, "ids": e.ids, "type_ids": e.type_ids})
        length = chance.randrange(6, 20)
        e = t(a, truncation=True, max_length=length).encodings[0]
        truncation.append({"a": a, "b": None, "max_length": length, "stride": 0, "strategy": "longest_first", "ids": e.ids, "overflowing": [{"ids": o.ids} for o in e.overflowing]})
        if t.pad_token is not None and t.pad_token_id is not None:
            batch = t([a, b], padding=True)
            padding.append({"texts": [a, b], "ids": batch["input_ids"], "attention_mask": batch["attention_mask"]})
    counts = {}
    for file, lines in {"encode": encode, "pairs": pairs, "decode": decode, "padding": padding, "truncation": truncation}.items():
        if lines:
            random_texts.write(folder / f"{file}.jsonl", lines)
            counts[f"{file}.jsonl"] = len(lines)
    (folder / "case.json").write_text(json.dumps({
        "group": "tokenizer", "name": name, "description": "a random folder", "reference": f"transformers {transformers.__version__}", "counts": counts}))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("goldens", type=Path)
    parser.add_argument("--cases", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    a = parser.parse_args()
    made = refused = 0
    while made < a.cases:
        chance = random.Random(f"{a.seed} {made + refused}")
        name = f"{made:03}"
        folder = a.folder / "tokenizer" / name
        folder.mkdir(parents=True)
        extra = make(folder, a.goldens, chance)
        try:
            record(AutoTokenizer.from_pretrained(folder), folder, name, extra, chance, 12)
            made += 1
        except BaseException as e:  # the library's panics are no Exception
            if isinstance(e, KeyboardInterrupt):
                raise
            refused += 1
            print(f"{name}: {type(e).__name__}: {str(e)[:150]}", file=sys.stderr)
            shutil.rmtree(folder)
    print(f"{made} folders, {refused} more that the reference refuses")


if __name__ == "__main__":
    main()
