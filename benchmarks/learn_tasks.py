#!/usr/bin/env python3
"""Shows which abilities of a model the paper's tasks need, on small made-up data sets in the official formats.

    benchmarks/learn_tasks.py WORK [TASK...] [--minutes 10] [--threads 1]

Each set is a few hundred documents of 620 to 780 words of filler, with what the answer hangs on more than 512 tokens away from the question (of
arXiv and coreference: from the beginning). One small model (two or three layers of 32 to 64, windows of 8) is trained on it from random weights,
and twice more: without global attention, and with inputs cut to 512 tokens. The best possible result is 1 (accuracy, F1, ROUGE-1); the chance of
guessing is beside it. Coreference has no global tokens, in the paper as here: its windows of 768 are what carries far, so that its first ablation
has windows of 64, and its second reads segments of 512 tokens, each by itself, as models with 512 positions did.
Everything is seeded. WORK gets the data, the runs with their curves, and results.json."""
from __future__ import annotations

import argparse
import json
import math
import os
import random
import resource
import struct
import subprocess
import time
from array import array
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FILLER = [f"w{i}" for i in range(40)]
KEYS = [f"k{i}" for i in range(2)]
VALUES = [f"v{i}" for i in range(4)]
SPECIAL = ["[CLS]", "[PAD]", "[SEP]", "[UNK]", "[MASK]"]
TEAMS, TOWNS, MOODS, TITLES = ["red", "blue"], ["oslo", "rome", "lima", "cairo"], ["glad", "sad"], [f"t{i}" for i in range(10)]
ASKED = dict(zip(TEAMS, ["crimson", "azure"]))
KINDS = [[f"{kind}{i}" for i in range(4)] for kind in ("ada", "bob")]
WORDS = {
    "hotpotqa": [*FILLER[:12], *TEAMS, *ASKED.values(), *TOWNS, *MOODS, *TITLES, "which", "town", "of", "are", "all", "?", "."],
    "coref": [*FILLER[:8], *KINDS[0], *KINDS[1], "about0", "about1", "they", "."],
}
OTHER_WORDS = [*FILLER, *KEYS, *VALUES, "find", "code", "of", "lovely", "awful", ".", "we", "show", "relation"]


def filler(chance: random.Random, count: int) -> list[str]:
    return [chance.choice(FILLER) for _ in range(count)]


def make_checkpoint(folder: Path, task: str, window: int | None = None) -> None:
    """A configuration and a tokenizer of whole words, mostly without weights: training begins with random ones."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = [*SPECIAL, *WORDS.get(task, OTHER_WORDS)]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer", "do_lower_case": True}))
    sizes: dict[str, object] = {"vocab_size": len(vocabulary), "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
    if task == "arxiv":
        config = {
            "model_type": "led", "architectures": ["LEDForConditionalGeneration"], "d_model": 64,
            "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4, "decoder_attention_heads": 4, "encoder_ffn_dim": 128,
            "decoder_ffn_dim": 128, "max_encoder_position_embeddings": 1024, "max_decoder_position_embeddings": 32, "attention_window": [8, 8],
            "decoder_start_token_id": 2, "dropout": 0.0, "init_std": 0.05, **sizes,
        }
    else:
        width, layers, usual, positions = {"hotpotqa": (64, 3, 8, 720), "coref": (32, 2, 768, 900)}.get(task, (64, 2, 8, 1026))
        config = {
            "model_type": "longformer", "hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": 4 if width == 64 else 2,
            "intermediate_size": 2 * width, "max_position_embeddings": positions, "attention_window": [window or usual] * layers,
            "sep_token_id": 2, "type_vocab_size": 1, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
            # A candidate and its marker differ by their places alone: these must weigh something from the start.
            "initializer_range": {"wikihop": 0.15, "hotpotqa": 0.02, "coref": 0.01}.get(task, 0.05), **sizes,
        }
    if task == "coref":
        # As many spans as tokens: a model that keeps no gold mention learns nothing.
        config["coreference"] = {"ffnn_size": 32, "feature_size": 8, "max_span_width": 1, "top_span_ratio": 1.0,
                                 "max_top_antecedents": 8, "coref_depth": 2, "dropout_rate": 0.0}
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    if task in WORDS:
        write_body(folder / "model.safetensors", config, near=task == "hotpotqa")


def write_body(file: Path, config: dict, near: bool) -> None:
    """Random weights of a body that pass on as much as they get, where the 0.02 of the heads (coreference's scores are products of sums over all of a
    span) would leave next to nothing of what attention averages over hundreds of tokens. near: two heads of the global attention begin with looking
    ten tokens ahead and ten back, since a marker must find its own paragraph by its place alone, which a pretrained model can from the start."""
    chance, width, inner, heads = random.Random(1), config["hidden_size"], config["intermediate_size"], config["num_attention_heads"]
    rates = [1 / (4 * 50 ** (i / 7)) for i in range(8)] if near else []
    tensors: dict[str, tuple[list[int], array]] = {}

    def normal(name: str, rows: int, columns: int, deviation: float) -> array:
        tensors[name] = [rows, columns], array("f", (chance.gauss(0, deviation) for _ in range(rows * columns)))
        return tensors[name][1]

    def norm(name: str) -> None:
        tensors[name + ".weight"], tensors[name + ".bias"] = ([width], array("f", [1] * width)), ([width], array("f", [0] * width))

    def linear(name: str, rows: int, columns: int, gain: float = 1.0) -> array:
        tensors[name + ".bias"] = [rows], array("f", [0] * rows)
        return normal(name + ".weight", rows, columns, gain / math.sqrt(columns))

    at = "longformer.embeddings."
    words = normal(at + "word_embeddings.weight", config["vocab_size"], width, 1.0)
    places = normal(at + "position_embeddings.weight", config["max_position_embeddings"], width, 0.0 if near else 0.3)
    for i, rate in enumerate(rates):
        # Sines and cosines have dimensions of their own.
        for row in range(config["vocab_size"]):
            words[row * width + 2 * i : row * width + 2 * i + 2] = array("f", [0, 0])
        for row in range(config["max_position_embeddings"]):
            places[row * width + 2 * i : row * width + 2 * i + 2] = array("f", [2**0.5 * math.sin(row * rate), 2**0.5 * math.cos(row * rate)])
    normal(at + "token_type_embeddings.weight", 1, width, 0.0)
    norm(at + "LayerNorm")
    for layer in range(config["num_hidden_layers"]):
        at = f"longformer.encoder.layer.{layer}."
        parts = {role: linear(f"{at}attention.self.{role}", width, width, 0.7 if near else 0.5) for role in ("query", "key", "query_global", "key_global")}
        for head, ahead in enumerate((10, -10) if near else ()):
            start, size = head * (width // heads) * width, (width // heads) * width
            for role in ("query_global", "key_global"):
                parts[role][start : start + size] = array("f", [0] * size)
            for i, rate in enumerate(rates):
                # query . key = the sum of 1.6^2 cos((place of the key - place of the query - ahead) rate)
                turn, first = 1.6 * math.cos(ahead * rate), start + 2 * i * (width + 1)
                across = 1.6 * math.sin(ahead * rate)
                parts["query_global"][first] = parts["query_global"][first + width + 1] = 1.6
                parts["key_global"][first] = parts["key_global"][first + width + 1] = turn
                parts["key_global"][first + 1], parts["key_global"][first + width] = -across, across
        for role in ("value", "value_global"):
            linear(f"{at}attention.self.{role}", width, width)
        linear(at + "attention.output.dense", width, width)
        linear(at + "intermediate.dense", inner, width)
        linear(at + "output.dense", width, inner)
        norm(at + "attention.output.LayerNorm")
        norm(at + "output.LayerNorm")
    header, end = {}, 0
    for name, (shape, values) in tensors.items():
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end := end + 4 * len(values)]}
    text = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(values.tobytes() for _, values in tensors.values()))


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


def hotpotqa(folder: Path, chance: random.Random, count: int, name: str) -> list[str]:
    """Three long paragraphs of filler, then two on each of two teams, from token 530 on. The question asks for the town or the mood of one, under a name of
    its own (crimson is red, azure is blue), and both paragraphs of that team say it."""
    def sentence(words: list[str]) -> str:
        return " ".join(words) + " ."

    records = []
    for i in range(count):
        asked, for_town = chance.choice(TEAMS), chance.random() < 0.5
        says = dict(zip(TEAMS, chance.sample(TOWNS, 2))) if for_town else {team: chance.choice(MOODS) for team in TEAMS}
        context, facts = [], []
        for title, team in zip(chance.sample(TITLES, 7), [None] * 3 + chance.sample(TEAMS * 2, 4)):
            context.append([title, [sentence([team, says[team]] * 10 if team else chance.choices(FILLER[:12], k=172))]])
            if team == asked:
                facts.append([title, 0])
        records.append({
            "_id": f"{name}{i}", "question": f"which town of {ASKED[asked]} ?" if for_town else f"are all of {ASKED[asked]} glad ?",
            "answer": says[asked] if for_town else "yes" if says[asked] == "glad" else "no", "type": "bridge" if for_town else "comparison",
            "level": "easy", "supporting_facts": facts, "context": context,
        })
    (folder / f"{name}.json").write_text(json.dumps(records))
    return ["--data" if name == "train" else "--eval", str(folder / f"{name}.json")]


def coref(folder: Path, chance: random.Random, count: int, name: str) -> list[str]:
    """Whom a "they" means, the person of the first kind named in its sentence or the one of the second, is said by the first 135 words of the document,
    more than 512 before it."""
    documents = []
    for i in range(count):
        kind = chance.randrange(2)
        sentences = [[f"about{kind}"] * 8 + ["."] for _ in range(15)]
        while sum(map(len, sentences)) < 655:
            sentences.append([*chance.choices(FILLER[:8], k=chance.randint(6, 12)), "."])
        places: dict[int, int] = {}
        for pair in range(20):
            start, order = sum(map(len, sentences)), chance.sample((0, 1), 2)
            sentences.append([*(chance.choice(KINDS[k]) for k in order), "they", chance.choice(FILLER[:8]), "."])
            places[start + order.index(kind)] = places[start + 2] = pair
        document, word = f"nw/made/{name}_{i:04}", 0
        lines = [f"#begin document ({document}); part 000"]
        for sentence in sentences:
            for number, text in enumerate(sentence):
                mention = f"({places[word]})" if word in places else "-"
                lines.append("   ".join([document, "0", str(number), text, "NN", "*", "-", "-", "-", "-", "*", mention]))
                word += 1
            lines.append("")
        documents.append("\n".join([*lines, "#end document", ""]))
    (folder / f"{name}.v4_gold_conll").write_text("".join(documents))
    return ["--data" if name == "train" else "--eval", str(folder / f"{name}.v4_gold_conll")]


# Task: the maker of its data, documents to learn from and to measure on, metric and what it is out of, the chance of guessing, settings.
TASKS = {
    "wikihop": (wikihop, 400, 100, "accuracy", 1, 1 / 2, {"learning-rate": 3e-3, "epochs": 12, "batch-size": 16}),
    "triviaqa": (triviaqa, 400, 100, "f1", 100, 1 / 2, {"learning-rate": 3e-3, "epochs": 8, "batch-size": 4, "max-answer-tokens": 4}),
    "imdb": (imdb, 300, 100, "accuracy", 1, 1 / 2, {"learning-rate": 2e-3, "epochs": 4, "batch-size": 8}),
    "hyperpartisan": (hyperpartisan, 300, 100, "f1", 1, 2 / 3, {"learning-rate": 2e-3, "epochs": 4, "batch-size": 8}),
    "arxiv": (arxiv, 400, 60, "rouge1", 100, 1 / 2, {"learning-rate": 2e-3, "epochs": 8, "batch-size": 4, "max-target-tokens": 8}),
    "hotpotqa": (hotpotqa, 600, 60, "joint_f1", 1, 1 / 2, {"learning-rate": 1e-3, "epochs": 8, "batch-size": 4, "max-answer-tokens": 2}),
    # Always the same kind is right in half of the documents: MUC 50, B-cubed 62.5, CEAFe 75.
    "coref": (coref, 240, 40, "average_f1", 100, 5 / 8, {"learning-rate": 1e-3, "head-learning-rate": 1e-3, "epochs": 3, "batch-size": 2}),
}
RUNS = {"as it is": [], "no global attention": ["--no-global-attention"], "cut to 512 tokens": ["--max-tokens", "512"]}
# Elsewhere it is a cut: these two would read the rest in further windows.
CUT = {"wikihop": ["--first-chunk-only"], "triviaqa": ["--first-window-only"]}
# In place of "no global attention", where none is global.
NARROW = {"coref": 64}


def children_seconds() -> float:
    """Processor time of the commands so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def prepare(work: Path, task: str) -> list[str]:
    """Data and checkpoints; the arguments that name the data."""
    make, train, held = TASKS[task][:3]
    folder = work / task
    folder.mkdir(parents=True, exist_ok=True)
    # Several processes may share WORK, each with a --run of its own.
    if (prepared := folder / "prepared.json").exists():
        return json.loads(prepared.read_text())
    chance = random.Random(f"learn {task}")
    make_checkpoint(folder / "start", task)
    if task in NARROW:
        make_checkpoint(folder / "narrow", task, NARROW[task])
    arguments = [*make(folder, chance, train, "train"), *make(folder, chance, held, "held")]
    prepared.write_text(json.dumps(arguments))
    return arguments


def run(work: Path, task: str, name: str, arguments: list[str], minutes: float, threads: int) -> dict[str, object]:
    """One training; of one that is done already what it came to."""
    folder, (metric, whole, guess, settings) = work / task, TASKS[task][3:]
    output, kept = folder / name.replace(" ", "-"), folder / f"{name.replace(' ', '-')}.json"
    if kept.exists():
        return json.loads(kept.read_text())
    start, extra = folder / "start", RUNS[name]
    if "global" in name and task in NARROW:
        start, extra = folder / "narrow", []
    given = [part for key, value in settings.items() for part in (f"--{key}", str(value))]
    started, used = time.monotonic(), children_seconds()
    command = [str(ROOT / "longformer"), "train", task, str(start), *arguments, "--output", str(output), *given, *extra,
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
    row = {"task": task, "run": name, "metric": metric, "reached": max(curve), "guessing": round(guess, 3), "curve": curve,
           "training_seconds": round(seconds, 1), "wall_seconds": round(time.monotonic() - started, 1),
           "processor_seconds": round(children_seconds() - used, 1)}  # fmt: skip
    kept.write_text(json.dumps(row))
    print(f"{task:14} {name:20} {metric} {row['reached']:.3f} of 1 (guessing {guess:.2f}) in {row['processor_seconds']:.0f} s of processor time", flush=True)
    if name == "as it is" and row["processor_seconds"] > 60 * minutes * threads:
        print(f"{task:14} took longer than {minutes} minutes", flush=True)
    return row


def draw(rows: list[dict], file: Path) -> None:
    """The curves of every task: what the held-out documents gave after each epoch."""
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plot

    tasks = list(dict.fromkeys(row["task"] for row in rows))
    plot.rcParams.update({"svg.hashsalt": "learn", "svg.fonttype": "none"})
    figure, axes = plot.subplots(1, len(tasks), figsize=(2.4 * len(tasks), 2.8), sharey=True)
    for axis, task in zip([axes] if len(tasks) == 1 else axes, tasks):
        own = [row for row in rows if row["task"] == task]
        for row in own:
            axis.plot(range(1, len(row["curve"]) + 1), row["curve"], marker=".", label=row["run"])
        axis.axhline(own[0]["guessing"], color="grey", linestyle=":", label="guessing")
        axis.set(title=task, xlabel="epoch", ylabel=own[0]["metric"], ylim=(-0.03, 1.03))
    figure.legend(*axis.get_legend_handles_labels(), loc="lower center", ncol=4)
    figure.tight_layout(rect=(0, 0.09, 1, 1))
    figure.savefig(file, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, help="a folder for data and runs")
    parser.add_argument("tasks", nargs="*", help=f"of {', '.join(TASKS)} (default: all)")
    parser.add_argument("--run", choices=RUNS, help="one of the three runs of each task alone (default: all)")
    parser.add_argument("--minutes", type=float, default=10, help="the most that a training should take")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--draw", type=Path, help="also the curves as a picture")
    given = parser.parse_args()
    results = given.work / "results.json"
    rows = json.loads(results.read_text()) if results.exists() else []
    for task in given.tasks or TASKS:
        arguments = prepare(given.work, task)
        own = [run(given.work, task, name, arguments, given.minutes, given.threads) for name in RUNS if given.run in (None, name)]
        if given.run is None:
            rows = [row for row in rows if row["task"] != task] + own
            results.write_text(json.dumps(rows, indent=1) + "\n")
    if given.run is not None:
        return
    if given.draw is not None:
        draw(rows, given.draw)
    print("\n| task | metric | as it is | no global attention | cut to 512 tokens | guessing |\n|---|---|---:|---:|---:|---:|")
    for task in dict.fromkeys(row["task"] for row in rows):
        own = {row["run"]: row for row in rows if row["task"] == task}
        first = own["as it is"]
        print(f"| {task} | {first['metric']} | {' | '.join(format(own[name]['reached'], '.3f') for name in RUNS)} | {first['guessing']:.2f} |")


if __name__ == "__main__":
    main()
