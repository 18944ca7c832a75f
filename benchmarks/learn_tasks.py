#!/usr/bin/env python3
"""Shows which abilities of a model the paper's tasks need, on small made-up data sets in the official formats.

    benchmarks/learn_tasks.py WORK [TASK...] [--minutes 10] [--threads 1]

Each set is a few hundred documents of 620 to 770 words of filler, with what the answer hangs on more than 512 tokens away from the question (of
arXiv: from the beginning). One small model (two layers of 64, windows of 8) is trained on it from random weights, and twice more: without
global attention, and with inputs cut to 512 tokens. The best possible result is 1 (accuracy, F1, ROUGE-1); the chance of guessing is beside it.
Everything is seeded. WORK gets the data, the runs with their curves, and results.json."""
from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FILLER = [f"w{i}" for i in range(40)]
KEYS = [f"k{i}" for i in range(2)]
VALUES = [f"v{i}" for i in range(4)]
SPECIAL = ["[CLS]", "[PAD]", "[SEP]", "[UNK]", "[MASK]"]
WORDS = [*FILLER, *KEYS, *VALUES, "find", "code", "of", "lovely", "awful", ".", "we", "show", "relation"]


def filler(chance: random.Random, count: int) -> list[str]:
    return [chance.choice(FILLER) for _ in range(count)]


def make_checkpoint(folder: Path, task: str) -> None:
    """A configuration and a tokenizer of whole words, without weights: training begins with random ones."""
    led = task == "arxiv"
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = [*SPECIAL, *WORDS]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer", "do_lower_case": True}))
    roles = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
    if led:
        config = {
            "model_type": "led", "architectures": ["LEDForConditionalGeneration"], "vocab_size": len(vocabulary), "d_model": 64,
            "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4, "decoder_attention_heads": 4, "encoder_ffn_dim": 128,
            "decoder_ffn_dim": 128, "max_encoder_position_embeddings": 1024, "max_decoder_position_embeddings": 32, "attention_window": [8, 8],
            "decoder_start_token_id": 2, "dropout": 0.0, "init_std": 0.05, **roles,
        }
    else:
        config = {
            "model_type": "longformer", "vocab_size": len(vocabulary), "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
            "intermediate_size": 128, "max_position_embeddings": 1026, "attention_window": [8, 8], "sep_token_id": 2, "type_vocab_size": 1,
            "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
            # A candidate and its marker differ by their places alone: these must weigh something from the start.
            "initializer_range": 0.15 if task == "wikihop" else 0.05, **roles,
        }
    (folder / "config.json").write_text(json.dumps(config, indent=1))


def planted(chance: random.Random, phrases: list[list[str]], first: int = 540, length: int = 730) -> list[str]:
    """Filler with phrases at random places from a word on, none of them touching another."""
    words = filler(chance, length + chance.randrange(-10, 40))
    places = chance.sample(range(first, len(words) - 8, 12), len(phrases))
    for place, phrase in zip(places, phrases):
        words[place : place + len(phrase)] = phrase
    return words


def wikihop(folder: Path, chance: random.Random, count: int, name: str) -> list[str]:
    """The supports mention one of the candidates."""
    records = []
    for i in range(count):
        candidates = chance.sample(VALUES[:2], 2)
        right = chance.choice(candidates)
        words = filler(chance, 540) + [w for _ in range(40) for w in (right, chance.choice(FILLER))]
        supports = [" ".join(words[at : at + 100]) for at in range(0, len(words), 100)]
        records.append({"id": f"WH_{name}_{i}", "query": "relation", "answer": right, "candidates": candidates, "supports": supports})
    (folder / f"{name}.json").write_text(json.dumps(records))
    return ["--data" if name == "train" else "--eval", str(folder / f"{name}.json")]


def triviaqa(folder: Path, chance: random.Random, count: int, name: str) -> list[str]:
    """Two keys have a value behind them; the question names one of the keys."""
    pages = folder / "evidence" / "wikipedia"
    pages.mkdir(parents=True, exist_ok=True)
    (folder / "qa").mkdir(exist_ok=True)
    data = []
    for i in range(count):
        keys, values = chance.sample(KEYS, 2), chance.sample(VALUES, 2)
        (pages / f"{name}_{i}.txt").write_text(" ".join(planted(chance, [[k, v] for k, v in zip(keys, values)] * 7)) + "\n")
        data.append({
            "QuestionId": f"tc_{name}_{i}", "Question": f"code of {keys[0]}", "SearchResults": [],
            "Answer": {"Value": values[0], "Aliases": [values[0]], "NormalizedAliases": [values[0]]},
            "EntityPages": [{"Filename": f"{name}_{i}.txt", "Title": "made up", "DocSource": "TagMe"}],
        })
    file = folder / "qa" / f"wikipedia-{name}.json"
    file.write_text(json.dumps({"Data": data, "Domain": "Wikipedia", "Split": name, "VerifiedEval": False, "Version": 1.0}))
    return ["--data" if name == "train" else "--eval", str(file)]


def imdb(folder: Path, chance: random.Random, count: int, name: str) -> list[str]:
    for i in range(count):
        label, rating = ("pos", 9) if i % 2 else ("neg", 2)
        file = folder / name / label / f"{i}_{rating}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(" ".join(planted(chance, [["lovely" if i % 2 else "awful"]] * 12)))
    return ["--data" if name == "train" else "--eval", str(folder / name)]


def hyperpartisan(folder: Path, chance: random.Random, count: int, name: str) -> list[str]:
    articles, truths = [], []
    for i in range(count):
        text = " ".join(planted(chance, [["lovely" if i % 2 else "awful"]] * 12))
        articles.append(f'<article id="{i:07d}" published-at="2016-01-01" title="Made up"><p>{text}</p></article>')
        truths.append(f'<article hyperpartisan="{"true" if i % 2 else "false"}" id="{i:07d}" labeled-by="article" url="http://x.org/{i}"/>')
    for kind, lines in (("articles", articles), ("ground-truth", truths)):
        text = '<?xml version="1.0" encoding="UTF-8"?>\n<articles>\n' + "\n".join(lines) + "\n</articles>\n"
        (folder / f"{kind}-{name}-byarticle.xml").write_text(text)
    return ["--data" if name == "train" else "--eval", str(folder / f"articles-{name}-byarticle.xml")]


def arxiv(folder: Path, chance: random.Random, count: int, name: str) -> list[str]:
    """The abstract is what is behind the word "find", more than 512 tokens from the beginning."""
    with open(folder / f"{name}.txt", "w") as file:
        for i in range(count):
            values = chance.sample(VALUES, 2)
            words = planted(chance, [["find", *values]] * 6)
            sentences = [" ".join(words[at : at + 20]) for at in range(0, len(words), 20)]
            record = {"article_id": str(i), "article_text": sentences, "abstract_text": [f"<S> {' '.join(values)} </S>"], "labels": None}
            file.write(json.dumps({**record, "section_names": ["x"], "sections": [sentences]}) + "\n")
    return ["--data" if name == "train" else "--eval", str(folder / f"{name}.txt")]


# Task: the maker of its data, documents to learn from and to measure on, metric and what it is out of, the chance of guessing, settings.
TASKS = {
    "wikihop": (wikihop, 400, 100, "accuracy", 1, 1 / 2, {"learning-rate": 3e-3, "epochs": 12, "batch-size": 16}),
    "triviaqa": (triviaqa, 400, 100, "f1", 100, 1 / 2, {"learning-rate": 3e-3, "epochs": 8, "batch-size": 4, "max-answer-tokens": 4}),
    "imdb": (imdb, 300, 100, "accuracy", 1, 1 / 2, {"learning-rate": 2e-3, "epochs": 4, "batch-size": 8}),
    "hyperpartisan": (hyperpartisan, 300, 100, "f1", 1, 2 / 3, {"learning-rate": 2e-3, "epochs": 4, "batch-size": 8}),
    "arxiv": (arxiv, 400, 60, "rouge1", 100, 1 / 2, {"learning-rate": 2e-3, "epochs": 8, "batch-size": 4, "max-target-tokens": 8}),
}
RUNS = {"as it is": [], "no global attention": ["--no-global-attention"], "cut to 512 tokens": ["--max-tokens", "512"]}
# Elsewhere it is a cut: these two would read the rest in further windows.
CUT = {"wikihop": ["--first-chunk-only"], "triviaqa": ["--first-window-only"]}


def run(work: Path, task: str, minutes: float, threads: int) -> list[dict]:
    make, train, held, metric, whole, guess, settings = TASKS[task]
    folder, checkpoint = work / task, work / task / "start"
    folder.mkdir(parents=True, exist_ok=True)
    chance = random.Random(f"learn {task}")
    arguments = [*make(folder, chance, train, "train"), *make(folder, chance, held, "held")]
    make_checkpoint(checkpoint, task)
    rows = []
    for name, extra in RUNS.items():
        output = folder / name.replace(" ", "-")
        given = [part for key, value in settings.items() for part in (f"--{key}", str(value))]
        started = time.monotonic()
        command = [str(ROOT / "longformer"), "train", task, str(checkpoint), *arguments, "--output", str(output), *given, *extra,
                   *(CUT.get(task, []) if "cut" in name else []), "--warmup-ratio", "0.1",
                   "--seed", "1", "--threads", str(threads), "--keep", "1", "--json"]  # fmt: skip
        if (output / "README.md").exists():
            command.append("--resume")
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": str(threads)})
        if done.returncode != 0:
            raise SystemExit(f"{task}, {name}: {done.stderr}")
        log = [json.loads(line) for line in (output / "log.jsonl").read_text().splitlines()]
        curve = [round(line["eval"][metric] / whole, 4) for line in log if "eval" in line]
        seconds = sum(line.get("seconds", 0) for line in log)
        rows.append({"task": task, "run": name, "metric": metric, "reached": max(curve), "guessing": round(guess, 3), "curve": curve,
                     "training_seconds": round(seconds, 1), "wall_seconds": round(time.monotonic() - started, 1)})  # fmt: skip
        print(f"{task:14} {name:20} {metric} {rows[-1]['reached']:.3f} of 1 (guessing {guess:.2f}) in {seconds:.0f} s of steps", flush=True)
        if name == "as it is" and seconds > 60 * minutes:
            print(f"{task:14} took longer than {minutes} minutes", flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, help="a folder for data and runs")
    parser.add_argument("tasks", nargs="*", help=f"of {', '.join(TASKS)} (default: all)")
    parser.add_argument("--minutes", type=float, default=10, help="the most that the steps of a model should take")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    results = given.work / "results.json"
    rows = json.loads(results.read_text()) if results.exists() else []
    for task in given.tasks or TASKS:
        rows = [row for row in rows if row["task"] != task] + run(given.work, task, given.minutes, given.threads)
        results.write_text(json.dumps(rows, indent=1) + "\n")
    print("\n| task | metric | as it is | no global attention | cut to 512 tokens | guessing |\n|---|---|---:|---:|---:|---:|")
    for task in dict.fromkeys(row["task"] for row in rows):
        own = {row["run"]: row for row in rows if row["task"] == task}
        first = own["as it is"]
        print(f"| {task} | {first['metric']} | {' | '.join(format(own[name]['reached'], '.3f') for name in RUNS)} | {first['guessing']:.2f} |")


if __name__ == "__main__":
    main()
