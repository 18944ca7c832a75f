"""What the made-up data sets share: a tokenizer in which every word is one token, and a checkpoint folder without weights."""
from __future__ import annotations

import json
from pathlib import Path

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]


def byte_alphabet() -> list[str]:
    """The 256 characters that stand for bytes in GPT-2's vocabulary."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    shifted = {b: 256 + i for i, b in enumerate(b for b in range(256) if b not in plain)}
    return [chr(b) if b in plain else chr(shifted[b]) for b in range(256)]


def write_tokenizer(folder: Path, words: list[str]) -> int:
    """vocab.json and merges.txt of a byte-level BPE that makes one token of each word with a space before it. Returns the number of tokens."""
    vocabulary = SPECIAL + byte_alphabet()
    merges: list[str] = []
    known = set(vocabulary)
    for word in words:
        prefix = "\u0120"
        for letter in word:
            if prefix + letter not in known:
                known.add(prefix + letter)
                vocabulary.append(prefix + letter)
                merges.append(f"{prefix} {letter}")
            prefix += letter
    vocabulary.append("<mask>")
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(vocabulary)}), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", encoding="utf-8")
    return len(vocabulary)


def write_checkpoint(folder: Path, words: list[str], **configuration: object) -> None:
    """config.json and a tokenizer: a training begins with random weights."""
    folder.mkdir(parents=True, exist_ok=True)
    size = write_tokenizer(folder, words)
    settings: dict[str, object] = {
        "model_type": "longformer", "vocab_size": size, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "sep_token_id": 2,
        "type_vocab_size": 1, "layer_norm_eps": 1e-5, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
        "initializer_range": 0.05,
    }
    (folder / "config.json").write_text(json.dumps(settings | configuration, indent=2), encoding="utf-8")
