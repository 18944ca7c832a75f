#!/usr/bin/env python3
"""Measures what eight bits lose: prints the cosine of embeddings in int8 to those in float32, and the labels and answers that differ.

    benchmarks/int8_loss.py [all-minilm-l6-v2]                       embeddings of whole texts (default: the licences of a Debian)
    benchmarks/int8_loss.py --random [--seeds 3] [--size tiny|base]  random classifiers, taggers and readers

The first converts a folder of sentence-transformers to 8,192 positions, as floats and in eight bits, and encodes every text with both. The
second makes random checkpoints, whose outputs lie close together: the hardest case for labels, and one where nothing says which is right.
Needs numpy, and ./longformer (make)."""
from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
LICENCES = Path("/usr/share/common-licenses")
QUESTIONS = ["Who may copy the program?", "What is the warranty?", "When does the licence end?"]


def run(*arguments: str) -> dict:
    done = subprocess.run([ROOT / "longformer", *arguments, "--json"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(done.stderr.strip())
    return json.loads(done.stdout)


def texts(given: list[Path] | None) -> list[Path]:
    if given:
        return given
    # BSD's is a template of few words; names such as GPL are links to the last version.
    return sorted(f for f in LICENCES.iterdir() if f.is_file() and not f.is_symlink() and f.name != "BSD")


def inputs(files: list[Path]) -> list[str]:
    return [part for file in files for part in ("--input", str(file))]


def embeddings(folder: str, files: list[Path]) -> np.ndarray:
    documents = run("encode", folder, *inputs(files), "--pooling", "mean", "--normalize", "--truncate")["documents"]
    return np.array([d["embedding"] for d in documents], np.float64)


def size(folder: Path) -> float:
    return sum(f.stat().st_size for f in folder.glob("*.safetensors")) / 2**20


def encoder(model: str, files: list[Path]) -> None:
    with tempfile.TemporaryDirectory() as place:
        plain, small = Path(place, "float32"), Path(place, "int8")
        long = ["--to", "longformer", "--positions", "8192", "--window", "512"]
        run("convert", model, *long, "--output", str(plain))
        run("convert", model, *long, "--dtype", "int8", "--output", str(small))
        expected, given = embeddings(str(plain), files), embeddings(str(small), files)
        cosines = (expected * given).sum(1)
        print(f"{len(files)} texts; files of {size(plain):.0f} and {size(small):.0f} MiB")
        for file, cosine in zip(files, cosines):
            print(f"  {file.name:12} {cosine:.6f}")
        pairs = expected @ expected.T - given @ given.T
        print(f"cosine of int8 to float32: mean {cosines.mean():.6f}, least {cosines.min():.6f}")
        print(f"similarities of two texts differ by at most {np.abs(pairs).max():.5f}")


def random(seeds: int, kind: str, tokenizer: str, files: list[Path]) -> None:
    changed: dict[str, list[int]] = {}
    with tempfile.TemporaryDirectory() as place:
        for seed in range(seeds):
            for head, labels in (("sequence-classification", "a,b,c,d,e"), ("token-classification", "O,B-PER,I-PER,B-LOC,I-LOC"), ("question-answering", "")):
                folder = str(Path(place, f"{head}-{seed}"))
                made = ["random", folder, "--size", kind, "--seed", str(seed), "--head", head, "--tokens", "4096", "--tokenizer", tokenizer]
                made += ["--labels", labels] if labels else []
                done = subprocess.run([ROOT / "longformer", *made], capture_output=True, text=True, check=False)
                if done.returncode != 0:
                    sys.exit(done.stderr.strip())
                for name, outcome in outcomes(folder, head, files).items():
                    same = changed.setdefault(name, [0, 0])
                    same[0] += outcome[0]
                    same[1] += outcome[1]
    for name, (different, of) in changed.items():
        print(f"{name}: {different} of {of} differ ({100 * different / max(of, 1):.1f}%)")


def outcomes(folder: str, head: str, files: list[Path]) -> dict[str, tuple[int, int]]:
    def both(*arguments: str) -> tuple[list, list]:
        return tuple(run(*arguments, *inputs(files), "--truncate", "--dtype", dtype)["documents"] for dtype in ("float32", "int8"))

    if head == "sequence-classification":
        before, after = both("classify", folder)
        best = [[d["labels"][0]["label"] for d in documents] for documents in (before, after)]
        return {"labels of a text": (sum(a != b for a, b in zip(*best)), len(before))}
    if head == "token-classification":
        before, after = both("tag", folder)
        spans = [{(i, e["start"], e["end"], e["label"]) for i, d in enumerate(documents) for e in d["entities"]} for documents in (before, after)]
        return {"entities": (len(spans[0] ^ spans[1]), len(spans[0] | spans[1]))}
    different = count = 0
    for question in QUESTIONS:
        before, after = both("answer", folder, "--question", question)
        different += sum((a["answers"][0]["start"], a["answers"][0]["end"]) != (b["answers"][0]["start"], b["answers"][0]["end"])
                         for a, b in zip(before, after))
        count += len(before)
    return {"answers": (different, count)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default=str(ROOT.parent / "shared/models/all-minilm-l6-v2"), help="a folder of sentence-transformers")
    parser.add_argument("--texts", type=Path, nargs="+", help="files, each a text")
    parser.add_argument("--random", action="store_true", help="random checkpoints in place of a model")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--size", choices=("tiny", "base"), default="tiny")
    parser.add_argument("--tokenizer", default=str(ROOT / "models" / "default"), help="a folder whose tokenizer the random checkpoints get (default: the model in the box)")
    options = parser.parse_args()
    files = texts(options.texts)
    if options.random:
        random(options.seeds, options.size, options.tokenizer, files)
    else:
        encoder(options.model, files)


if __name__ == "__main__":
    main()
