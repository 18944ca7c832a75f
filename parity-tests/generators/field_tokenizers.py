"""field_tokenizers.py GOLDENS OUTPUT.json: what transformers makes of folders as the field has them, one per kind.

Runs where transformers is. GOLDENS is parity-tests/goldens/tokenizer, for its vocabularies; OUTPUT.json holds each folder's files, the vocabulary
left out ("@tiny", "@wordpiece", edits of them), and the ids and decodings of a few texts. tests/Tokenizers.Tests/FieldFolderTests.cs reads it.
"""
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import tokenizer_folders  # mends a build of tokenizers that cannot make RobertaTokenizer

import transformers
from transformers import AutoTokenizer

goldens = Path(sys.argv[1])
TINY = json.loads((goldens / "tiny/vocab.json").read_text())
MERGES = [line for line in (goldens / "tiny/merges.txt").read_text().split("\n")[1:] if line]
WORDS = [t for t in (goldens / "wordpiece/vocab.txt").read_text().split("\n") if t]
ROBERTA, LED, BERT = ({"model_type": m, "transformers_version": "5.12.1"} for m in ("longformer", "led", "bert"))
LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
FRAME = {"type": "TemplateProcessing", "special_tokens": {t: {"id": t, "ids": [TINY[t]], "tokens": [t]} for t in ("<s>", "</s>")}}
for key, texts in {"single": "A", "pair": "AB"}.items():
    FRAME[key] = [part for t in texts for part in (
        {"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": t, "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}})]
FAST = {"tokenizer_class": "PreTrainedTokenizerFast", "backend": "tokenizers"}


def bpe(vocab="@tiny", merges="@tiny", level=None, normalizer=None, post=None, added=("<s>", "<pad>", "</s>", "<unk>", "<mask>"), drop=(), **model):
    known = TINY
    body = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": "", "end_of_word_suffix": "", "fuse_unk": False, "byte_fallback": False,
            "ignore_merges": False, "vocab": vocab, "merges": merges, **model}
    for key in drop:
        del body[key]
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [
        {"id": known[t], "content": t, "single_word": False, "lstrip": t == "<mask>", "rstrip": False, "normalized": False, "special": True} for t in added],
        "normalizer": normalizer, "pre_tokenizer": {**LEVEL, **(level or {})}, "post_processor": post or FRAME, "decoder": LEVEL, "model": body}


def word_piece(normalizer=None, drop=(), **model):
    body = {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": "@wordpiece", **model}
    for key in drop:
        del body[key]
    at = WORDS.index
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [
        {"id": at(t), "content": t, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True} for t in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")],
        "normalizer": normalizer or {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True},
        "pre_tokenizer": {"type": "BertPreTokenizer"}, "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", at("[SEP]")], "cls": ["[CLS]", at("[CLS]")]},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True}, "model": body}


GAPS = {"@tiny": {"shift": [[50, 7], [900, 1000]]}}


def without(*parts):
    """The vocabulary without the tokens that hold any of these."""
    return {"@tiny": {"without": parts}}


NAMED = {"cls_token": "<s>", "sep_token": "</s>", "pad_token": "<pad>", "mask_token": "<mask>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
FILES = {"vocab.json": "@tiny", "merges.txt": "@tiny"}
CASES = {
    # 2
    "a vocabulary with unused ids": {"vocab.json": GAPS, "merges.txt": "@tiny", "config.json": ROBERTA},
    "a tokenizer.json with unused ids": {"tokenizer.json": bpe(vocab=GAPS, added=(), post=LEVEL), "tokenizer_config.json": FAST, "config.json": ROBERTA},
    # 6
    "a BPE model without a type": {"tokenizer.json": bpe(drop=["type"]), "tokenizer_config.json": FAST, "config.json": ROBERTA},
    "a WordPiece model without a type": {"tokenizer.json": word_piece(drop=["type"]), "tokenizer_config.json": FAST, "config.json": BERT},
    **{f"BPE with {n}": {"tokenizer.json": bpe(normalizer={"type": n}), "tokenizer_config.json": FAST, "config.json": ROBERTA} for n in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents")},
    "BPE with a Sequence of normalizers": {"tokenizer.json": bpe(normalizer={"type": "Sequence", "normalizers": [
        {"type": "NFKD"}, {"type": "StripAccents"}, {"type": "Lowercase"}, {"type": "Strip", "strip_left": True, "strip_right": False},
        {"type": "Replace", "pattern": {"String": "the"}, "content": "a"}]}), "tokenizer_config.json": FAST, "config.json": ROBERTA},
    "ignore_merges": {"tokenizer.json": bpe(ignore_merges=True, merges={"@merges": {"first": 200}}), "tokenizer_config.json": FAST, "config.json": ROBERTA},
    "TemplateProcessing before ByteLevel": {"tokenizer.json": bpe(post={"type": "Sequence", "processors": [FRAME, LEVEL]}), "tokenizer_config.json": FAST, "config.json": ROBERTA},
    "ByteLevel before TemplateProcessing": {"tokenizer.json": bpe(post={"type": "Sequence", "processors": [LEVEL, FRAME]}), "tokenizer_config.json": FAST, "config.json": ROBERTA},
    "vocab.json without special tokens": {"vocab.json": without("<s>", "</s>", "<pad>", "<unk>", "<mask>"), "merges.txt": "@tiny", "config.json": ROBERTA},
    "vocab.json without mask and padding": {"vocab.json": without("<mask>", "<pad>"), "merges.txt": "@tiny", "config.json": LED},
    "vocab.txt with a token twice": {"vocab.txt": {"@words": {"again": [300, 150], "tail": ""}}, "config.json": BERT},
    "vocab.txt with empty lines at its end": {"vocab.txt": {"@words": {"tail": "\n\n\n"}}, "config.json": BERT},
    "merges.txt with a second #version line": {"vocab.json": "@tiny", "merges.txt": {"@merges": {"head": "#version: 0.2\n#version: 0.2 - Trained by `huggingface/tokenizers`\n"}}, "config.json": ROBERTA},
    "a class of its own overrules the prefix space": {"tokenizer.json": bpe(level={"add_prefix_space": True}), "config.json": ROBERTA,
        "tokenizer_config.json": {"tokenizer_class": "LongformerTokenizer", "backend": "tokenizers"}},
    "PreTrainedTokenizerFast does not": {"tokenizer.json": bpe(level={"add_prefix_space": True}), "config.json": ROBERTA, "tokenizer_config.json": {**FAST, "add_prefix_space": False}},
    "bytes that the vocabulary lacks": {"vocab.json": without("z", "Ã"), "merges.txt": {"@merges": {"without": ["z", "Ã"]}}, "config.json": ROBERTA},
    # 14
    "add_prefix_space true over false": {"tokenizer.json": bpe(), "config.json": ROBERTA, "tokenizer_config.json": {"tokenizer_class": "RobertaTokenizer", "add_prefix_space": True, "backend": "tokenizers"}},
    "do_lower_case false over true": {"tokenizer.json": word_piece(), "config.json": BERT, "tokenizer_config.json": {"tokenizer_class": "BertTokenizer", "do_lower_case": False, "backend": "tokenizers"}},
    "do_lower_case unsaid over false": {"tokenizer.json": word_piece({"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": False}),
        "config.json": BERT, "tokenizer_config.json": {"tokenizer_class": "BertTokenizer", "backend": "tokenizers"}},
    "strip_accents true, case kept": {"tokenizer.json": word_piece(), "config.json": BERT, "tokenizer_config.json": {"tokenizer_class": "BertTokenizer", "do_lower_case": False, "strip_accents": True, "backend": "tokenizers"}},
    "strip_accents false, lower case": {"tokenizer.json": word_piece(), "config.json": BERT, "tokenizer_config.json": {"tokenizer_class": "BertTokenizer", "strip_accents": False, "backend": "tokenizers"}},
    "tokenize_chinese_chars false": {"tokenizer.json": word_piece(), "config.json": BERT, "tokenizer_config.json": {"tokenizer_class": "BertTokenizer", "tokenize_chinese_chars": False, "backend": "tokenizers"}},
    "PreTrainedTokenizerFast keeps the normalizer": {"tokenizer.json": word_piece(), "config.json": BERT, "tokenizer_config.json": {**FAST, "do_lower_case": False}},
    # 15
    "added_tokens_decoder": {**FILES, "config.json": LED, "tokenizer_config.json": {"tokenizer_class": "LEDTokenizer", "added_tokens_decoder": {
        "1261": {"content": "<doc-sep>", "single_word": False, "lstrip": False, "rstrip": True, "normalized": False, "special": True},
        "1262": {"content": "Word", "single_word": True, "lstrip": False, "rstrip": False, "normalized": True, "special": False}}}},
    "added_tokens_decoder over tokenizer.json": {"tokenizer.json": bpe(), "config.json": LED, "tokenizer_config.json": {**FAST, **NAMED, "added_tokens_decoder": {
        "1261": {"content": "<doc-sep>", "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}}}},
    "additional_special_tokens of special_tokens_map.json": {**FILES, "config.json": LED, "special_tokens_map.json": {**NAMED, "additional_special_tokens": ["<doc-sep>"]}},
    "extra_special_tokens": {"tokenizer.json": bpe(), "config.json": LED, "tokenizer_config.json": {**FAST, **NAMED, "extra_special_tokens": ["<doc-sep>", "<x>"]}},
    "extra_special_tokens with names": {"tokenizer.json": bpe(), "config.json": LED, "tokenizer_config.json": {**FAST, **NAMED, "extra_special_tokens": {"doc_token": "<doc-sep>"}}},
    "added_tokens.json with ids far away": {**FILES, "config.json": LED, "added_tokens.json": {"<doc-sep>": 5000}},
    # 16
    "sides to the left": {**FILES, "config.json": ROBERTA, "tokenizer_config.json": {"tokenizer_class": "LongformerTokenizer", "truncation_side": "left", "padding_side": "left", "model_max_length": 9}},
    "sides of tokenizer.json": {"tokenizer.json": {**bpe(), "truncation": {"direction": "Left", "max_length": 512, "strategy": "LongestFirst", "stride": 0}}, "config.json": ROBERTA, "tokenizer_config.json": {**FAST, **NAMED}},
    "split_special_tokens": {**FILES, "config.json": ROBERTA, "tokenizer_config.json": {"tokenizer_class": "LongformerTokenizer", "split_special_tokens": True}},
}
TEXTS = ["The Cat's naïve ﬁnancé, the zebra!", "cafe\u0301 Å 각 ½ 北京 Ⅷ", " <mask> the<doc-sep>  Word words <s> </s>[SEP] [MASK]", "HELLO  world\twith  tabs"]


def kept(text, parts):
    return not any(part in text for part in parts)


def expand(file, content):
    """The content of a file. "@tiny" is the vocabulary's own file; {"@tiny": edits}, {"@merges": edits}, {"@words": edits} are what edits make of it."""
    if content == "@tiny":
        return (goldens / "tiny" / file).read_text()
    if isinstance(content, str):
        return content
    if "@tiny" in content:
        e = content["@tiny"]
        return json.dumps({t: i + sum(by for above, by in e.get("shift", []) if i > above) for t, i in TINY.items() if kept(t, e.get("without", []))})
    if "@merges" in content:
        e = content["@merges"]
        return e.get("head", "#version: 0.2\n") + "".join(m + "\n" for m in MERGES[: e.get("first")] if kept(m, e.get("without", [])))
    if "@words" in content:
        e, words = content["@words"], list(WORDS)
        if "again" in e:
            words.insert(e["again"][0], words[e["again"][1]])
        return "\n".join(words) + e["tail"]
    if file == "tokenizer.json":
        content = json.loads(json.dumps(content))
        model = content["model"]
        if model["vocab"] == "@wordpiece":
            model["vocab"] = {t: i for i, t in enumerate(WORDS)}
        else:
            model["vocab"] = json.loads(expand("vocab.json", model["vocab"]))
        if "merges" in model:
            model["merges"] = expand("merges.txt", model["merges"]).split("\n")[1:-1]
    return json.dumps(content)


def main():
    result = []
    for name, files in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            for file, content in files.items():
                Path(folder, file).write_text(expand(file, content))
            t = AutoTokenizer.from_pretrained(folder)
            lines = []
            for text in TEXTS:
                e = t(text).encodings[0]
                cut = t(text, truncation=True, max_length=6)["input_ids"]
                lines.append({"text": text, "ids": e.ids, "offsets": [list(o) for o in e.offsets], "decoded": t.decode(e.ids), "without_special": t.decode(e.ids, skip_special_tokens=True), "cut_to_6": cut})
                if t.pad_token_id is not None:
                    lines[-1]["padded_with_a_dot"] = t([text, "."], padding=True)["input_ids"][1]
            result.append({"name": name, "files": files, "model_max_length": t.model_max_length if t.model_max_length < 1e9 else None, "lines": lines})
    Path(sys.argv[2]).write_text(json.dumps({"reference": f"transformers {transformers.__version__}", "cases": result}, indent=None, separators=(",", ":")).replace('{"name":', '\n{"name":') + "\n")
    print(len(result), "folders")


main()
