"""texts.py FOLDER GOLDENS [--cases N] [--seed N]: random texts as the tokenizers library encodes and decodes them.

Runs where tokenizers is (tools/check-hf.sh runs it and compares). GOLDENS is a copy of parity-tests/goldens/tokenizer, for its vocabularies.
Writes FOLDER/tokenizer/{roberta,wordpiece} as parity cases: texts of every kind of character, pairs, truncation, decoding.
"""
import argparse
import json
import random
import shutil
import unicodedata
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors

WORDS = "the of attention window long document's I'm you'll HE'LL don't 3.14 1,000 e-mail http://a.b/c?d=e naïve Zürich ГОСТ 北京 日本語 한국어 مرحبا שלום ไทย हिन्दी".split()
SPECIAL = ["<s>", "</s>", "<mask>", "<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]", "[UNK]", "[PAD]"]
SPACES = [" ", "  ", "\t", "\n", "\r\n", "\u00a0", "\u2003", "\u3000", "\u200b", "\x0b", "\x85", "\u2028"]


def letter(chance):
    while True:
        code = chance.choice([chance.randrange(32, 127), chance.randrange(0x250), chance.randrange(0x3000), chance.randrange(0x10000), chance.randrange(0x110000)])
        # Characters newer than the libraries' tables would compare the tables' years.
        if not 0xD800 <= code < 0xE000 and unicodedata.category(chr(code)) not in ("Cn", "Co") and code:
            return chr(code)


def text(chance):
    parts = []
    for _ in range(chance.choice([0, 1, 2, 5, 15, 40])):
        kind = chance.random()
        if kind < 0.35:
            parts.append(chance.choice(WORDS))
        elif kind < 0.6:
            parts.append(chance.choice(SPACES) * chance.choice([1, 1, 1, 3]))
        elif kind < 0.65:
            parts.append(chance.choice(SPECIAL))
        elif kind < 0.8:
            parts.append("".join(letter(chance) for _ in range(chance.choice([1, 2, 6]))))
        elif kind < 0.87:
            parts.append(unicodedata.normalize(chance.choice(["NFC", "NFD", "NFKD"]), "".join(chance.choice("éÅßçñ각ṩḍ̇ﬁǅ") for _ in range(3))))
        elif kind < 0.93:
            parts.append(chance.choice(["👩‍👩‍👧", "🇩🇪", "e\u0301\u0323", "\u202eabc", "\ufeff", "'S", "'ve", "''", "...", "!?", "—", "½", "Ⅷ", "𝒜𝟙", "𠀀"]))
        else:
            parts.append(str(chance.randrange(10 ** chance.randrange(1, 12))))
    return "".join(parts)


def roberta(folder):
    t = Tokenizer(models.BPE.from_file(str(folder / "vocab.json"), str(folder / "merges.txt"), unk_token=None))
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    t.add_special_tokens([*(AddedToken(s, normalized=False, special=True) for s in ("<s>", "<pad>", "</s>", "<unk>")), AddedToken("<mask>", lstrip=True, normalized=False, special=True)])
    t.post_processor = processors.RobertaProcessing(("</s>", t.token_to_id("</s>")), ("<s>", t.token_to_id("<s>")), trim_offsets=True, add_prefix_space=False)
    return t


def utf16(encoding, *texts):
    """Offsets in UTF-16 units, of code points."""
    tables = []
    for given in texts:
        at, table = 0, [0]
        for c in given:
            at += 1 + (ord(c) > 0xFFFF)
            table.append(at)
        tables.append(table)
    return [[tables[s or 0][a], tables[s or 0][b]] for (a, b), s in zip(encoding.offsets, encoding.sequence_ids)]


def write(path, lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def make(t, name, folder, chance, cases):
    encode, pairs, decode, size = [], [], [], t.get_vocab_size()
    for _ in range(cases):
        a = text(chance)
        e = t.encode(a)
        encode.append({"text": a, "ids": e.ids, "offsets": e.offsets, "offsets_utf16": utf16(e, a)})
        ids = [chance.randrange(size) for _ in range(chance.randrange(12))] if chance.random() < 0.3 else e.ids
        decode.append({"ids": ids, "text": t.decode(ids, skip_special_tokens=False), "text_skip_special": t.decode(ids)})
        if chance.random() < 0.3:
            b = text(chance)
            e = t.encode(a, b)
            pairs.append({"a": a, "b": b, "ids": e.ids, "offsets": e.offsets, "sequence_ids": e.sequence_ids})
    write(folder / "encode.jsonl", encode)
    write(folder / "decode.jsonl", decode)
    write(folder / "pairs.jsonl", pairs)
    (folder / "case.json").write_text(json.dumps({
        "group": "tokenizer", "name": name, "description": "random texts", "reference": "tokenizers",
        "counts": {"encode.jsonl": len(encode), "decode.jsonl": len(decode), "pairs.jsonl": len(pairs)}}))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("goldens", type=Path)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    a = parser.parse_args()
    for name, files in {"roberta": ["vocab.json", "merges.txt"], "wordpiece": ["tokenizer.json", "vocab.txt"]}.items():
        folder = a.folder / "tokenizer" / name
        folder.mkdir(parents=True)
        for file in files:
            shutil.copy(a.goldens / name / file, folder)
        t = roberta(folder) if name == "roberta" else Tokenizer.from_file(str(folder / "tokenizer.json"))
        t.no_truncation()
        t.no_padding()
        make(t, name, folder, random.Random(a.seed), a.cases)
    print(f"{a.cases} texts for each tokenizer")


if __name__ == "__main__":
    main()
