"""What generators of numbered cases have in common."""
from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import torch


def main(case: Callable[[Path, int, int], None]) -> None:
    """FOLDER [--cases N] [--seed N]: calls case(FOLDER/NUMBER, NUMBER, SEED) for each, on one thread."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--cases", type=int, default=20)
    arguments.add_argument("--seed", type=int, default=1)
    given = arguments.parse_args()
    torch.set_num_threads(1)
    for number in range(given.cases):
        case(given.folder / str(number), number, given.seed)
