"""Trainings that differ in one setting, one after the other, and what became of them."""
from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Run:
    """A training: its name for people, its folder, its settings."""

    title: str
    folder: str
    settings: Sequence[object]


def report(folder: Path, task: str, checkpoint: Path, metric: str, runs: Sequence[Run]) -> None:
    """Trains each run that is not there yet; writes a table with the best metric, its curve and the seconds to FOLDER/results.json and prints it."""
    rows = []
    for run in runs:
        output = folder / run.folder
        started = time.monotonic()
        if not (output / "config.json").exists():
            command = [ROOT / "longformer", "train", task, checkpoint, *run.settings, "--output", output, "--save-every", "100000", "--json"]
            subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)
        seconds = time.monotonic() - started
        lines = [json.loads(line) for line in (output / "log.jsonl").read_text(encoding="utf-8").splitlines()]
        curve = [line["eval"][metric] for line in lines if "eval" in line]
        rows.append({"run": run.title, metric: max(curve), "curve": curve, "steps": lines[-1]["step"], "seconds": round(seconds)})
        print(f"| {run.title} | {max(curve):.4g} | {' '.join(f'{v:.3g}' for v in curve)} | {rows[-1]['steps']} | {round(seconds)} |", flush=True)
    (folder / "results.json").write_text(json.dumps({"task": task, "metric": metric, "runs": rows}, indent=2), encoding="utf-8")


if __name__ == "__main__":
    sys.exit("expected a script of this folder: coref.py, hotpotqa.py")
