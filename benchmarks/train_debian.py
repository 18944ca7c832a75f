#!/usr/bin/env python3
"""Real trainings on real English text: what Debian's packages say about themselves, from nothing, seeded.

    .venv/bin/python benchmarks/train_debian.py WORK --checkpoint all-MiniLM-L6-v2 [--threads 2]

WORK is a folder for everything. It makes

    data/        descriptions of source packages of twelve sections: train.jsonl and held.jsonl, split by package
    scratch/     a configuration of a small Longformer with the checkpoint's tokenizer and no weights
    classify-*   the section of a package from its description: from the checkpoint made long, and from random weights
    masked-lm-*  hidden words: the same two
    results.json, results.md

The checkpoint is a BERT that is made long on the way. The descriptions come from the archive that this machine's apt is set up with (Debian; a
few MB). Baselines: the commonest section, and naive Bayes and a softmax regression over bags of words; for hidden words the commonest words.
`benchmarks/peers/hf_trained.py` then loads the folders in transformers and compares the predictions."""
from __future__ import annotations

import argparse
import collections
import glob
import json
import math
import os
import random
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools" / "default_model"))

from debian import stanzas  # noqa: E402
from training import longformer  # noqa: E402

SECTIONS = ["admin", "devel", "doc", "fonts", "games", "graphics", "math", "net", "science", "sound", "text", "web"]


def records(pattern: str):
    """The records of apt's lists."""
    for file in sorted(glob.glob(pattern)):
        yield from stanzas(subprocess.run(["/usr/lib/apt/apt-helper", "cat-file", file], capture_output=True, check=True).stdout.decode())


def make_data(folder: Path, most: int, seed: int) -> None:
    """One package of each source, so that no source is in both parts; a fifth is held out."""
    lists = folder / "lists"
    (lists / "partial").mkdir(parents=True, exist_ok=True)
    if not list(lists.glob("*_Translation-en*")):
        options = [f"Dir::State::lists={lists}", "Acquire::Languages=en", "APT::Sandbox::User=root", f"Dir::Cache={folder / 'cache'}"]
        (folder / "cache" / "archives" / "partial").mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "-qq", "update", *(part for option in options for part in ("-o", option))], check=True)
    texts = {r["Description-md5"]: r["Description-en"] for r in records(f"{lists}/*_main_i18n_Translation-en*")}
    found: dict[str, list[dict[str, str]]] = {section: [] for section in SECTIONS}
    seen = set()
    for r in records(f"{lists}/*_main_binary-*_Packages*"):
        source = r.get("Source", r["Package"]).split()[0]
        text = texts.get(r.get("Description-md5", ""))
        if source in seen or text is None or r.get("Section") not in found:
            continue
        seen.add(source)
        # A line that holds a dot alone is an empty one.
        found[r["Section"]].append({"package": r["Package"], "text": re.sub(r"(?m)^\.$", "", text), "label": r["Section"]})
    chance = random.Random(seed)
    train, held = [], []
    for section in SECTIONS:
        chosen = sorted(found[section], key=lambda d: d["package"])
        chance.shuffle(chosen)
        chosen = chosen[:most]
        held += chosen[: len(chosen) // 5]
        train += chosen[len(chosen) // 5 :]
    chance.shuffle(train)
    for name, documents in (("train", train), ("held", held)):
        with open(folder / f"{name}.jsonl", "w", encoding="utf-8") as file:
            file.writelines(json.dumps(d, ensure_ascii=False) + "\n" for d in documents)


def documents(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def baselines(train: list[dict[str, str]], held: list[dict[str, str]]) -> dict[str, float]:
    """Accuracy on held-out documents of what knows nothing, and of two models over bags of words."""
    numbers = {section: i for i, section in enumerate(SECTIONS)}
    y, y_held = (np.array([numbers[d["label"]] for d in part]) for part in (train, held))
    counts = collections.Counter(w for d in train for w in set(re.findall(r"\w+", d["text"].lower())))
    words = {w: i for i, w in enumerate(sorted(w for w, n in counts.items() if n >= 2))}

    def bags(part: list[dict[str, str]]) -> np.ndarray:
        x = np.zeros((len(part), len(words)), np.float32)
        for row, d in enumerate(part):
            for w in re.findall(r"\w+", d["text"].lower()):
                if w in words:
                    x[row, words[w]] += 1
        return x

    x, x_held = bags(train), bags(held)
    # Naive Bayes, with the smoothing that is usual.
    per_class = np.stack([x[y == c].sum(0) for c in range(len(SECTIONS))]) + 1.0
    bayes = x_held @ np.log(per_class / per_class.sum(1, keepdims=True)).T + np.log(np.bincount(y) / len(y))
    # Softmax regression over tf-idf, by gradient descent with momentum on all documents at once.
    idf = np.log(len(train) / (1 + (x > 0).sum(0))) + 1

    def tfidf(a: np.ndarray) -> np.ndarray:
        b = np.log1p(a) * idf
        return b / np.maximum(np.linalg.norm(b, axis=1, keepdims=True), 1e-9)

    a, target = tfidf(x), np.eye(len(SECTIONS), dtype=np.float32)[y]
    weights, speed = np.zeros((len(words), len(SECTIONS)), np.float32), 0
    for _ in range(300):
        z = a @ weights
        z = np.exp(z - z.max(1, keepdims=True))
        speed = 0.9 * speed - 10 * (a.T @ (z / z.sum(1, keepdims=True) - target) / len(train) + 1e-5 * weights)
        weights = weights + speed
    regression = tfidf(x_held) @ weights
    majority = np.bincount(y).argmax()
    return {
        "the commonest section": float((y_held == majority).mean()),
        "naive Bayes over words": float((bayes.argmax(1) == y_held).mean()),
        "softmax regression over words (tf-idf)": float((regression.argmax(1) == y_held).mean()),
    }


def make_scratch(folder: Path, checkpoint: Path) -> None:
    """A configuration without weights: two layers of 128, 1,024 positions, window 128, and the checkpoint's tokenizer."""
    folder.mkdir(exist_ok=True)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt", "vocab.json", "merges.txt"):
        if (checkpoint / name).exists():
            (folder / name).write_bytes((checkpoint / name).read_bytes())
    theirs = json.loads((checkpoint / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({
        "model_type": "longformer", "architectures": ["LongformerForMaskedLM"], "vocab_size": theirs["vocab_size"], "hidden_size": 128,
        "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 512, "max_position_embeddings": 1026, "attention_window": [128, 128],
        "pad_token_id": theirs.get("pad_token_id", 0), "type_vocab_size": theirs.get("type_vocab_size", 2), "sep_token_id": 102,
        "bos_token_id": 101, "eos_token_id": 102, "hidden_act": "gelu", "layer_norm_eps": 1e-12,
    }, indent=2))  # fmt: skip


def unigram_loss(work: Path, held: list[dict[str, str]], train: list[dict[str, str]], checkpoint: Path) -> float:
    """Returns the loss of a guess by the frequency of each token alone: mean of -log p."""
    sys.path.insert(0, str(ROOT / "bindings" / "python"))
    import longformer_interop as lf

    tokenizer = lf.Tokenizer.load(checkpoint)
    counts = np.ones(tokenizer.vocabulary_size)
    for d in train:
        np.add.at(counts, np.array(tokenizer.encode(d["text"], add_special_tokens=False).ids, int), 1)
    p = np.log(counts / counts.sum())
    ids = np.concatenate([np.array(tokenizer.encode(d["text"], add_special_tokens=False).ids, int) for d in held])
    return float(-p[ids].mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--checkpoint", type=Path, required=True, help="a BERT or RoBERTa with its tokenizer")
    parser.add_argument("--most", type=int, default=300, help="documents of a section")
    parser.add_argument("--steps", type=int, default=60, help="of masked LM from the checkpoint; from random weights three times as many")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--only", default="", help="runs whose names begin so")
    parser.add_argument("--seed", type=int, default=42)
    chosen = parser.parse_args()
    work, checkpoint = chosen.work.resolve(), chosen.checkpoint.resolve()
    data = work / "data"
    data.mkdir(parents=True, exist_ok=True)
    if not (data / "held.jsonl").exists():
        make_data(data, chosen.most, chosen.seed)
    train, held = documents(data / "train.jsonl"), documents(data / "held.jsonl")
    print(f"{len(train)} documents to learn from, {len(held)} held out", file=sys.stderr)
    make_scratch(work / "scratch", checkpoint)
    common = ["--data", data / "train.jsonl", "--eval", data / "held.jsonl", "--threads", chosen.threads, "--seed", chosen.seed, "--warmup-ratio", 0.1]
    # Descriptions are short. Joined, they fill examples of a thousand tokens: long texts, in which most hidden words can be inferred.
    joined = ["--join-texts", "--max-tokens", 1024, "--tokens-per-step", 2048]
    runs = {
        "classify-scratch": ["classify", work / "scratch", "--epochs", 6, "--learning-rate", 1e-3, "--batch-size", 16],
        "classify-long": ["classify", checkpoint, "--epochs", 1, "--learning-rate", 1e-4, "--batch-size", 16],
        "masked-lm-long": ["masked-lm", checkpoint, "--steps", chosen.steps, "--learning-rate", 3e-4, *joined],
        "masked-lm-scratch": ["masked-lm", work / "scratch", "--steps", 3 * chosen.steps, "--learning-rate", 2e-3, *joined],
    }
    path = work / "results.json"
    results = json.loads(path.read_text()) if path.exists() else {}
    for name, arguments in runs.items():
        if not name.startswith(chosen.only) or (name in results and results[name].get("done")):
            continue
        begin = time.time()
        resume = ["--resume"] if (work / name / "checkpoints").exists() else []
        reached = longformer("train", *arguments, *common, "--output", work / name, *resume)
        task = arguments[0]
        measured = longformer(
            "evaluate", task, work / name, "--data", data / "held.jsonl", "--output", work / f"{name}.predictions.jsonl", "--threads", chosen.threads,
            *(["--join-texts", "--max-tokens", 1024] if task == "masked-lm" else []),
        )
        results[name] = {"done": True, "seconds": round(time.time() - begin), "steps": reached["steps"], "best_step": reached.get("best_step"), **measured["metrics"]}
        path.write_text(json.dumps(results, indent=2))
        print(name, results[name], file=sys.stderr)
    if "baselines" not in results:
        results["baselines"] = baselines(train, held)
        loss = unigram_loss(work, held, train, checkpoint)
        results["unigram"] = {"loss": loss, "perplexity": math.exp(loss)}
        path.write_text(json.dumps(results, indent=2))
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
