#!/usr/bin/env python3
"""Writes src/Tokenizers/Unicode/UnicodeTables.Generated.cs from what HF `tokenizers` itself does with every code point.

The reference mixes several versions of Unicode (its regular expressions, its accent stripping and its lower-casing come from
different libraries), and .NET's string.Normalize does nothing when InvariantGlobalization is on. Asking the reference about each
code point gives tables that agree with it exactly and do not change with the .NET version.

    python3 tools/tokenizer_unicode_tables.py OUTPUT.cs        (needs `pip install tokenizers`; about a minute)
"""
import base64
import sys
import unicodedata

import tokenizers
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

LETTER, NUMBER, SPACE, CONTROL, PUNCTUATION, CHINESE, MARK, WORD, DECOMPOSES, LOWERS, COMBINING = (1 << i for i in range(11))


def code_points():
    return (c for c in range(0x110000) if not 0xD800 <= c < 0xE000)


def bert(**on):
    options = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    return normalizers.BertNormalizer(**{**options, **on}).normalize_str


def collect():
    split = pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str
    bert_split = pre_tokenizers.BertPreTokenizer().pre_tokenize_str
    clean, chinese, strip, lower = bert(clean_text=True), bert(handle_chinese_chars=True), bert(strip_accents=True), bert(lowercase=True)
    nfd, nfkd = normalizers.NFD().normalize_str, normalizers.NFKD().normalize_str
    accents = normalizers.StripAccents().normalize_str
    # An added token with single_word is found beside a character exactly when that character is not \w.
    word = Tokenizer(models.BPE())
    word.add_tokens([AddedToken("#", single_word=True, normalized=False)])

    flags, decompositions, compatible, lowered = {}, {}, {}, {}
    for c in code_points():
        s, f = chr(c), 0
        if len(split("a" + s)) == 1:
            f |= LETTER
        elif len(split("1" + s)) == 1:
            f |= NUMBER
        elif len(split("!" + s)) != 1:
            f |= SPACE
        if clean("a" + s + "b") == "ab":
            f |= CONTROL
        pieces = len(bert_split("a" + s + "b"))
        if pieces == 3:
            f |= PUNCTUATION
        assert (pieces == 2) == bool(f & SPACE), hex(c)
        if chinese(s) != s:
            f |= CHINESE
        d = nfd(s)
        if d == s and strip(s) == "":
            f |= MARK
        if not 0xAC00 <= c < 0xAC00 + 11172 and d != s:  # Hangul syllables are decomposed by arithmetic
            f |= DECOMPOSES
            decompositions[c] = [ord(x) for x in d]
        if nfkd(s) != d:
            compatible[c] = [ord(x) for x in nfkd(s)]
        if accents(s) == "":
            f |= COMBINING
        if lower(s) != s:
            f |= LOWERS
            lowered[c] = [ord(x) for x in lower(s)]
        if s != "#" and len(word.encode("#" + s).ids) == 0:
            f |= WORD
        flags[c] = f
    return flags, decompositions, compatible, lowered


def compositions():
    """Pairs of characters that become one under NFC; Hangul, which composes by arithmetic, left out."""
    nfc = normalizers.NFC().normalize_str
    pairs = {}
    for c in code_points():
        parts = unicodedata.decomposition(chr(c)).split()
        if len(parts) == 2 and not parts[0].startswith("<"):
            left, right = (int(p, 16) for p in parts)
            if nfc(chr(left) + chr(right)) == chr(c):
                pairs[c] = [left, right]
    return pairs


def combining_classes():
    """Canonical combining classes, left out where the reference does not reorder the character."""
    nfd = normalizers.NFD().normalize_str
    low, high = "\u0334", "\u0345"  # classes 1 and 240
    classes = {}
    for c in code_points():
        k = unicodedata.combining(chr(c))
        if k and (nfd(chr(c) + low) == low + chr(c) if k > 1 else nfd(high + chr(c)) == chr(c) + high):
            classes[c] = k
    return classes


def varint(n, out):
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)


def zigzag(n, out):
    varint(n << 1 if n >= 0 else (-n << 1) - 1, out)


def runs(values, default):
    """[length, value] pairs over all code points; surrogates take the default."""
    out, length, current = bytearray(), 0, values.get(0, default)
    for c in range(0x110000):
        v = values.get(c, default)
        if v != current:
            varint(length, out)
            varint(current, out)
            length, current = 0, v
        length += 1
    varint(length, out)
    varint(current, out)
    return out


def mapping(entries):
    """Per entry: distance from the previous source, number of targets, each target as a signed distance from the one before (first: from the source)."""
    out, previous = bytearray(), 0
    for c, targets in sorted(entries.items()):
        varint(c - previous, out)
        varint(len(targets), out)
        last = c
        for t in targets:
            zigzag(t - last, out)
            last = t
        previous = c
    return out


def literal(name, summary, data):
    text = base64.b64encode(bytes(data)).decode()
    lines = [text[i:i + 116] for i in range(0, len(text), 116)]
    body = " +\n".join(f'        "{line}"' for line in lines)
    return f"    /// <summary>{summary}</summary>\n    private const string {name} =\n{body};\n"


def main():
    flags, decompositions, compatible, lowered = collect()
    parts = [
        literal("FlagRuns", "Pairs (run length, flags) over all code points.", runs(flags, 0)),
        literal("CombiningRuns", "Pairs (run length, canonical combining class) over all code points.", runs(combining_classes(), 0)),
        literal("Decompositions", "Full canonical decompositions, Hangul left out.", mapping(decompositions)),
        literal("CompatibleDecompositions", "Full compatibility decompositions where they are not the canonical ones.", mapping(compatible)),
        literal("Compositions", "What two characters compose: the composed one, then the two.", mapping(compositions())),
        literal("LowerCase", "Lower case of single characters, context ignored.", mapping(lowered)),
    ]
    with open(sys.argv[1], "w", encoding="utf-8") as f:
        f.write("// <auto-generated>\n")
        f.write(f"// By tools/tokenizer_unicode_tables.py from tokenizers {tokenizers.__version__}, ")
        f.write(f"combining classes from Python's Unicode {unicodedata.unidata_version}. Do not edit.\n")
        f.write("// </auto-generated>\nnamespace LongformerInterop.Tokenizers.Unicode;\n\n")
        f.write("internal static partial class UnicodeTables\n{\n" + "\n".join(parts) + "}\n")


if __name__ == "__main__":
    main()
