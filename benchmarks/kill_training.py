#!/usr/bin/env python3
"""Kills trainings with SIGKILL at random moments, resumes them, and compares the bytes with a run that was left alone.

    benchmarks/kill_training.py WORK [--kills 50] [--seed 1] [--dtype bfloat16]

Each kill comes at a random moment of what an undisturbed run takes: while .NET starts, while data is tokenized, in a step, an evaluation, the
writing of a checkpoint or of the result. A run is killed and resumed until it ends; then the next begins, until there were as many kills as asked for.
Exit status 1 if one byte of the weights, the optimizer or the state differs. Prints in which part of a run the kills fell."""
from __future__ import annotations

import argparse
import collections
import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COMPARED = ["model.safetensors", "config.json", "checkpoints/step-000000024/optimizer.safetensors", "checkpoints/step-000000024/state.json",
            "checkpoints/step-000000024/model.safetensors"]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--program", default=str(ROOT / "longformer"))
    chosen = parser.parse_args()
    work, chance = chosen.work.resolve(), random.Random(chosen.seed)
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    words = [["lovely", "fine", "great"], ["awful", "poor", "sad"]]
    for name, count in (("train", 96), ("held", 16)):
        lines = [{"text": " ".join(words[i % 2][chance.randrange(3)] for _ in range(chance.randrange(20, 120))), "label": ["good", "bad"][i % 2]}
                 for i in range(count)]  # fmt: skip
        (work / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    tokenizer = ROOT / "parity-tests" / "goldens" / "tokenizer" / "tiny"
    subprocess.run([chosen.program, "random", work / "start", "--tokenizer", tokenizer, "--head", "masked-lm", "--seed", "3"], check=True, stdout=subprocess.DEVNULL)

    def command(output: str, cache: str) -> list[str]:
        resume = ["--resume"] if (work / output / "checkpoints").is_dir() else []
        return [chosen.program, "train", "classify", str(work / "start"), "--data", str(work / "train.jsonl"), "--eval", str(work / "held.jsonl"),
                "--output", str(work / output), "--cache", str(work / cache), "--threads", "1", "--learning-rate", "2e-3", "--batch-size", "16", "--epochs", "4",
                "--warmup-steps", "3", "--save-every", "2", "--eval-every", "3", "--keep", "100", "--dtype", chosen.dtype, *resume]  # fmt: skip

    begin = time.monotonic()
    subprocess.run(command("whole", "cache-whole"), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    takes = time.monotonic() - begin
    print(f"a run takes {takes:.1f} s", flush=True)
    kills, runs, different, where = 0, 0, 0, collections.Counter()
    while kills < chosen.kills:
        runs += 1
        output, cache, tries = f"run-{runs}", f"cache-{runs}", 0
        while True:
            begin = time.monotonic()
            running = subprocess.Popen(command(output, cache), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)
            try:
                # After a few kills it may end, so that every run does.
                _, error = running.communicate(timeout=None if kills >= chosen.kills or tries >= 12 else chance.uniform(0.05, takes))
            except subprocess.TimeoutExpired:
                where[state(work / output, work / cache)] += 1
                os.killpg(running.pid, 9)
                running.communicate()
                kills, tries = kills + 1, tries + 1
                continue
            if not tries:
                takes = min(takes, time.monotonic() - begin)
            if running.returncode:
                sys.exit(f"run {runs} after {tries} kills ended with {running.returncode}: {error.decode()}")
            break
        unequal = [f for f in COMPARED if (work / output / f).read_bytes() != (work / "whole" / f).read_bytes()]
        different += len(unequal)
        print(f"run {runs}: {tries} kills, {'equal' if not unequal else 'DIFFERENT: ' + ', '.join(unequal)}", flush=True)
        for folder in (output, cache):
            shutil.rmtree(work / folder)
    print(f"{kills} kills in {runs} runs, {different} files different")
    print("killed: " + ", ".join(f"{n} {place}" for place, n in where.most_common()))
    sys.exit(1 if different else 0)


def state(output: Path, cache: Path) -> str:
    """Returns the state of a run, read from its files."""
    if not output.exists():
        return "before its first file"
    if list(cache.glob("*.part")):
        return "while it tokenized"
    checkpoints = output / "checkpoints"
    if checkpoints.is_dir() and [p for p in checkpoints.iterdir() if p.name.startswith(".")]:
        return "while it wrote a checkpoint"
    if (output / "model.safetensors").exists() or list(output.glob(".*.part")) or list(output.glob("*.part")):
        return "while it wrote the result"
    if not (output / "log.jsonl").exists():
        return "before its first step"
    return "in steps and evaluations, or while it started again"


if __name__ == "__main__":
    main()
