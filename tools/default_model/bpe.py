"""Trains a byte-level BPE, as GPT-2's, and writes the files that RoBERTa's and LED's tokenizers read.

Written here since no library that trains one is among Debian's packages of this release or NuGet's. Merges are found the usual way: counts of
pairs over distinct pieces, a heap of the commonest, and after each merge only the pieces that hold the pair are counted again."""
from __future__ import annotations

import collections
import heapq
import json
import re
from collections.abc import Iterable
from pathlib import Path

from debian import write_whole

# GPT-2's pieces. Python's letters are all but digits of \w; what differs from \p{L} and \p{N} (roman numerals, superscripts) only changes
# which merges are found, since the reader splits by its own tables.
PIECE = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?[^\W\d_]+| ?\d+| ?(?:[^\s\w]|_)+|\s+(?!\S)|\s+")
SPECIALS = ["<s>", "<pad>", "</s>", "<unk>"]


def byte_alphabet() -> list[str]:
    """A printable character for each byte, as GPT-2 has them: 33 to 126, 161 to 172 and 174 to 255 are themselves, the others come from 256 on."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters, more = {b: chr(b) for b in printable}, 256
    for b in range(256):
        if b not in letters:
            letters[b] = chr(more)
            more += 1
    return [letters[b] for b in range(256)]


def count_pieces(texts: Iterable[str]) -> collections.Counter[str]:
    """How often each piece occurs, in the alphabet's characters."""
    counts: collections.Counter[str] = collections.Counter()
    for text in texts:
        counts.update(PIECE.findall(text))
    table = byte_alphabet()
    spelt: collections.Counter[str] = collections.Counter()
    for piece, n in counts.items():
        spelt["".join(table[b] for b in piece.encode())] += n
    return spelt


def learn_merges(pieces: dict[str, int], most: int) -> list[tuple[str, str]]:
    """The merges, the commonest pair first; of pairs that are as common, the first by its characters."""
    words = [list(piece) for piece in pieces]
    weights = list(pieces.values())
    counts: collections.Counter[tuple[str, str]] = collections.Counter()
    where: dict[tuple[str, str], set[int]] = collections.defaultdict(set)
    for i, word in enumerate(words):
        for pair in zip(word, word[1:]):
            counts[pair] += weights[i]
            where[pair].add(i)
    heap = [(-n, pair) for pair, n in counts.items()]
    heapq.heapify(heap)
    merges: list[tuple[str, str]] = []
    while heap and len(merges) < most:
        n, pair = heapq.heappop(heap)
        if counts[pair] != -n:
            # An old count; the new one is in the heap as well.
            continue
        if n > -2:
            break
        merges.append(pair)
        changed: set[tuple[str, str]] = set()
        for i in where.pop(pair):
            word, weight = words[i], weights[i]
            for old in zip(word, word[1:]):
                counts[old] -= weight
                changed.add(old)
            joined, k = [], 0
            while k < len(word):
                if k + 1 < len(word) and (word[k], word[k + 1]) == pair:
                    joined.append(word[k] + word[k + 1])
                    k += 2
                else:
                    joined.append(word[k])
                    k += 1
            words[i] = joined
            for new in zip(joined, joined[1:]):
                counts[new] += weight
                where[new].add(i)
                changed.add(new)
        del counts[pair]
        changed.discard(pair)
        for other in changed:
            if counts[other] > 0:
                heapq.heappush(heap, (-counts[other], other))
    return merges


def write_tokenizer(folder: Path, texts: Iterable[str], size: int, positions: int) -> int:
    """Writes vocab.json, merges.txt and the configuration; returns how many pieces the vocabulary has (`size`, fewer where text is short)."""
    merges = learn_merges(dict(count_pieces(texts)), size - 256 - len(SPECIALS) - 1)
    tokens = [*SPECIALS, *byte_alphabet(), *("".join(pair) for pair in merges)]
    # Two merges may spell the same token.
    vocabulary = list(dict.fromkeys(tokens)) + ["<mask>"]
    special = {"bos_token": "<s>", "eos_token": "</s>", "sep_token": "</s>", "cls_token": "<s>", "unk_token": "<unk>", "pad_token": "<pad>", "mask_token": "<mask>"}
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "vocab.json", json.dumps({token: i for i, token in enumerate(vocabulary)}, ensure_ascii=False, separators=(",", ":")))
    write_whole(folder / "merges.txt", "#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))
    write_whole(folder / "special_tokens_map.json", json.dumps(special, indent=2) + "\n")
    settings = {"tokenizer_class": "LEDTokenizer", "add_prefix_space": False, "trim_offsets": True, "model_max_length": positions, **special}
    write_whole(folder / "tokenizer_config.json", json.dumps(settings, indent=2) + "\n")
    return len(vocabulary)


def write_fast(folder: Path) -> None:
    """Writes tokenizer.json, which HF's fast tokenizers read, from the files beside it."""
    vocabulary = json.loads((folder / "vocab.json").read_text("utf-8"))
    merges = [line for line in (folder / "merges.txt").read_text("utf-8").split("\n")[1:] if line]
    flags = {"single_word": False, "rstrip": False, "normalized": False, "special": True}
    # As RoBERTa's, the mask takes the space before it.
    added = [{"id": vocabulary[token], "content": token, **flags, "lstrip": token == "<mask>"} for token in [*SPECIALS, "<mask>"]]
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    write_whole(folder / "tokenizer.json", json.dumps({
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None, "pre_tokenizer": level,
        "post_processor": {"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0], "trim_offsets": True, "add_prefix_space": False},
        "decoder": level,
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": "", "end_of_word_suffix": "", "fuse_unk": False,
                  "byte_fallback": False, "ignore_merges": False, "vocab": vocabulary, "merges": merges},
    }, ensure_ascii=False, separators=(",", ":")) + "\n")  # fmt: skip
