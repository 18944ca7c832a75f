"""HotpotQA on the made-up set of hotpotqa_data.py: whole inputs, without global attention, and cut to 512 tokens. A table and curves into FOLDER.

    OMP_NUM_THREADS=1 python3 benchmarks/learn/hotpotqa.py FOLDER [--epochs 20]
"""
from __future__ import annotations

import argparse
from pathlib import Path

import hotpotqa_data
from runs import Run, report

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--questions", type=int, default=400)
    given = parser.parse_args()
    hotpotqa_data.make(given.folder, given.questions)
    settings = [
        "--data", given.folder / "train.json", "--eval", given.folder / "dev.json", "--epochs", given.epochs,
        "--batch-size", 4, "--learning-rate", 1e-3, "--warmup-ratio", 0.1, "--seed", 1,
    ]
    report(given.folder, "hotpotqa", given.folder / "model", "joint_f1", [
        Run("whole inputs", "whole", settings),
        Run("no global attention", "local", [*settings, "--no-global-attention"]),
        Run("cut to 512 tokens", "cut", [*settings, "--max-tokens", 512]),
    ])
