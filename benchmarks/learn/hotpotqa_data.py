"""A made-up set in HotpotQA's format: ten paragraphs, each on a person, of which the question names two, far behind it. Both live in the same town,
which is the answer; or the question asks whether they are glad, which both are or are not. Most paragraphs begin more than 512 tokens behind the
question, and none without global attention sees it.

    python3 hotpotqa_data.py FOLDER [--questions 400] [--seed 1]   # train.json, dev.json, and a checkpoint folder without weights
"""
from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

from small import write_checkpoint

NAMES = ["ada", "bea", "cid", "dan", "eva", "fay", "gus", "hal", "ida", "jim"]
TOWNS = ["oslo", "rome", "lima", "cairo", "delhi", "paris", "quito", "tunis"]
FILLERS = [a + b for a in ("fo", "ba", "lu", "mi", "ke") for b in ("rest", "lm", "np", "dge", "nto", "sk", "rra", "ve")]
WORDS = [*NAMES, *TOWNS, *FILLERS, "which", "town", "are", "and", "lives", "in", "is", "glad", "sad", "?", "."]


def question(number: int, rng: random.Random, filler: int) -> dict[str, object]:
    """One record."""
    pair = rng.sample(NAMES, 2)
    town = rng.choice(TOWNS)
    glad = rng.random() < 0.5
    asks_town = rng.random() < 0.6
    context, facts = [], []
    for name in rng.sample(NAMES, len(NAMES)):
        here = town if name in pair else rng.choice([t for t in TOWNS if t != town])
        mood = glad if name in pair else rng.random() < 0.5
        sentences = [f" {name} lives in {here} .", f" {name} is {'glad' if mood else 'sad'} ."]
        sentences += [" " + " ".join(rng.choice(FILLERS) for _ in range(filler)) + " ." for _ in range(3)]
        rng.shuffle(sentences)
        sentences[0] = sentences[0].lstrip()
        context.append([name, sentences])
        if name in pair:
            wanted = "lives" if asks_town else "is"
            facts.append([name, next(i for i, s in enumerate(sentences) if s.split()[1] == wanted)])
    return {
        "_id": f"made{number}", "question": f"which town , {pair[0]} and {pair[1]} ?" if asks_town else f"are {pair[0]} and {pair[1]} glad ?",
        "answer": town if asks_town else "yes" if glad else "no", "type": "comparison", "level": "easy", "supporting_facts": facts, "context": context,
    }


def make(folder: Path, questions: int = 400, held_out: int = 100, seed: int = 1, filler: int = 24) -> None:
    """Writes train.json, dev.json and model/."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(seed)
    for part, count in (("train", questions), ("dev", held_out)):
        (folder / f"{part}.json").write_text(json.dumps([question(i, rng, filler) for i in range(count)]), encoding="utf-8")
    write_checkpoint(
        folder / "model", [*WORDS, ","], hidden_size=64, num_hidden_layers=3, num_attention_heads=4, intermediate_size=128,
        max_position_embeddings=1202, attention_window=[32, 32, 32],
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--questions", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    make(given.folder, given.questions, seed=given.seed)
