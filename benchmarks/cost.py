#!/usr/bin/env python3
"""Prints what the paper's pretraining and the embedding of a billion documents cost, as tables of docs/scale-cost.md.

    benchmarks/cost.py [--utilisation 0.4]

Everything comes of the rates below: those of the CPU were measured (benchmarks/RESULTS.md says where and how), those of GPUs are the makers'
published dense bfloat16 peaks times a utilisation, which is an assumption. Nothing was run on a GPU or on more than one machine."""
from __future__ import annotations

import argparse
from dataclasses import dataclass

# The paper's pretraining: 65,000 updates of 2^18 tokens, documents of 4,096, window 512.
UPDATES, TOKENS_OF_UPDATE, LENGTH = 65_000, 2**18, 4096
DOCUMENTS = 10**9


@dataclass(frozen=True)
class Size:
    name: str
    layers: int
    hidden: int
    vocabulary: int = 50_265
    window: int = 512

    def forward(self) -> float:
        """Multiply-adds of a token, twice: the products of the layers (a feed-forward of four times the width), and scores and sums over the window."""
        return self.layers * (2 * 12 * self.hidden**2 + 2 * 2 * (self.window + 1) * self.hidden)

    def training(self) -> float:
        """Forward and twice as much backward; the vocabulary for the 15% of the tokens that are predicted."""
        return 3 * (self.forward() + 0.15 * 2 * self.hidden * self.vocabulary + 0.15 * 2 * self.hidden**2)


BASE, LARGE = Size("base", 12, 768), Size("large", 24, 1024)

# Seconds on 2 cores of an AMD EPYC (Zen 5), 29 November 2026: a pass over one document, and a step of training of 4,096 tokens.
CPU = "2 cores, Zen 5"
PASS = {("float32", 512): 0.462, ("float32", 4096): 3.77, ("bfloat16", 512): 0.258, ("bfloat16", 4096): 2.17}
STEP = {"float32": 8.05, "bfloat16": 4.80}

# TFLOP/s of dense bfloat16, as NVIDIA's data sheets say.
GPUS = {"L4": 121.0, "A100": 312.0, "H100 SXM": 989.0, "H200": 989.0}


def time_of(seconds: float) -> str:
    hours = seconds / 3600
    return f"{hours:,.0f} h" if hours < 1000 else f"{hours / 24 / 365:,.1f} years" if hours > 50_000 else f"{hours / 24:,.0f} days"


def table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join([f"| {' | '.join(head)} |", "|---|" + "---:|" * (len(head) - 1), *(f"| {' | '.join(r)} |" for r in rows)])


def pretraining(utilisation: float) -> str:
    rows = []
    tokens = UPDATES * TOKENS_OF_UPDATE
    for dtype, seconds in STEP.items():
        spent = tokens / LENGTH * seconds
        # The large model was not measured: by its arithmetic at the same rate.
        rows.append([f"{CPU}, {dtype}, measured step", time_of(spent), time_of(spent * LARGE.training() / BASE.training())])
    for name, peak in GPUS.items():
        rows.append([f"one {name}, arithmetic", *(time_of(tokens * s.training() / (peak * 1e12 * utilisation)) for s in (BASE, LARGE))])
    return table(["machine", "base", "large"], rows)


def embedding(utilisation: float) -> str:
    rows = []
    for dtype in ("float32", "bfloat16"):
        rows.append([f"{CPU}, {dtype}, measured pass", *(time_of(DOCUMENTS * PASS[dtype, t]) for t in (512, 4096))])
    for name, peak in GPUS.items():
        rows.append([f"one {name}, arithmetic", *(time_of(DOCUMENTS * t * BASE.forward() / (peak * 1e12 * utilisation)) for t in (512, 4096))])
    return table(["machine", "512 tokens each", "4,096 tokens each"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--utilisation", type=float, default=0.4, help="share of a GPU's peak that is assumed")
    given = parser.parse_args()
    tokens = UPDATES * TOKENS_OF_UPDATE
    print(f"{UPDATES:,} updates of {TOKENS_OF_UPDATE:,} tokens: {tokens / 1e9:.1f} billion tokens. Arithmetic of a token, forward / training: base "
          f"{BASE.forward() / 1e6:.0f} / {BASE.training() / 1e6:.0f} MFLOP, large {LARGE.forward() / 1e6:.0f} / {LARGE.training() / 1e6:.0f} MFLOP.\n")
    print(pretraining(given.utilisation))
    print(f"\n{DOCUMENTS:,} vectors of {BASE.hidden} float32 take {DOCUMENTS * BASE.hidden * 4 / 1e12:.1f} TB.\n")
    print(embedding(given.utilisation))


if __name__ == "__main__":
    main()
