"""A made-up coreference set in CoNLL-2012's format. The first word of a document says which of two persons every later "they" means, the first named or
the second; the sentences that use it come more than 512 tokens behind. Whoever cannot look back that far is right half of the time.

    python3 coref_data.py FOLDER [--documents 200] [--seed 1]   # train, dev, and a checkpoint folder without weights
"""
from __future__ import annotations

import argparse
import random
from pathlib import Path

from small import write_checkpoint

NAMES = ["ada", "bea", "cid", "dan", "eva", "fay", "gus", "hal", "ida", "jim", "kay", "leo", "mia", "ned", "oda", "pia"]
FILLERS = [a + b for a in ("fo", "ba", "lu", "mi", "ke") for b in ("rest", "lm", "np", "dge", "nto", "sk", "rra", "ve")]
WORDS = [*NAMES, *FILLERS, "first", "second", "met", "then", "they", "slept", "saw", "."]


def document(name: str, rng: random.Random, distance: int, groups: int) -> str:
    """The lines of one document."""
    flag = rng.choice(["first", "second"])
    sentences: list[list[str]] = [[flag, "."]]
    words = 2
    while words < distance:
        sentence = [rng.choice(FILLERS) for _ in range(rng.randint(5, 11))] + ["."]
        sentences.append(sentence)
        words += len(sentence)
    clusters: list[list[tuple[int, int]]] = []
    names = rng.sample(NAMES, 2 * groups)
    for g in range(groups):
        one, two = names[2 * g], names[2 * g + 1]
        at = sum(map(len, sentences))
        sentences.append([one, "met", two, "."])
        sentences.append(["then", "they", "slept", "."])
        clusters.append([(at, at), (at + 5, at + 5)] if flag == "first" else [(at + 2, at + 2), (at + 5, at + 5)])
    column: dict[int, str] = {}
    for number, cluster in enumerate(clusters):
        for first, _ in cluster:
            column[first] = f"({number})"
    lines, word = [f"#begin document ({name}); part 000"], 0
    for sentence in sentences:
        for i, text in enumerate(sentence):
            lines.append("   ".join([name, "0", str(i), text, "NN", "*", "-", "-", "-", "-", "*", column.get(word, "-")]))
            word += 1
        lines.append("")
    return "\n".join([*lines, "#end document", ""])


def make(folder: Path, documents: int = 200, held_out: int = 40, seed: int = 1, distance: int = 516, groups: int = 8) -> None:
    """Writes train.v4_gold_conll, dev.v4_gold_conll and model/."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(seed)
    for part, count in (("train", documents), ("dev", held_out)):
        text = "".join(document(f"nw/made/{part}_{i:04}", rng, distance, groups) for i in range(count))
        (folder / f"{part}.v4_gold_conll").write_text(text, encoding="utf-8")
    write_checkpoint(
        folder / "model", WORDS, hidden_size=48, num_hidden_layers=2, num_attention_heads=4, intermediate_size=96,
        max_position_embeddings=770, attention_window=[1536, 1536], initializer_range=0.02,
        coreference={
            "ffnn_size": 64, "feature_size": 10, "max_span_width": 1, "top_span_ratio": 0.4, "max_top_antecedents": 40, "coref_depth": 2,
            "dropout_rate": 0.0, "genres": ["bc", "bn", "mz", "nw", "pt", "tc", "wb"],
        },
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--documents", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    make(given.folder, given.documents, seed=given.seed)
