"""Coreference on the made-up set of coref_data.py: whole documents, and cut into segments of 512 tokens. A table and curves into FOLDER.

    OMP_NUM_THREADS=1 python3 benchmarks/learn/coref.py FOLDER [--epochs 10]
"""
from __future__ import annotations

import argparse
from pathlib import Path

import coref_data
from runs import Run, report

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--documents", type=int, default=300)
    given = parser.parse_args()
    coref_data.make(given.folder, given.documents)
    settings = [
        "--data", given.folder / "train.v4_gold_conll", "--eval", given.folder / "dev.v4_gold_conll", "--epochs", given.epochs,
        "--batch-size", 1, "--learning-rate", 1e-3, "--head-learning-rate", 1e-3, "--warmup-ratio", 0.1, "--seed", 1,
    ]
    report(given.folder, "coref", given.folder / "model", "average_f1", [
        Run("whole documents", "whole", settings),
        Run("segments of 512 tokens", "cut", [*settings, "--max-tokens", 512]),
    ])
