#!/usr/bin/env python3
"""Makes the model in the box from nothing: packages, text, tokenizer, training, scores. What is there already is not made again.

    .venv/bin/python tools/default_model/make.py [--work build/default-model] [--output models/default] [--schedule full|more|toy] [--from MODEL] [--threads N]
                                                 [--until data|tokenizer|training|model|meaning|scores] [--test N]

Everything random follows the seed of settings.json. Stop it whenever you like: the same command continues. `--schedule more --from models/default`
continues with the model in the box, with its tokenizer, for some hours more."""
from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

import bpe
import corpus
import meaning
import scores
import training

STEPS = ["data", "tokenizer", "training", "model", "meaning", "scores"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=training.ROOT / "build" / "default-model")
    parser.add_argument("--output", type=Path, default=training.ROOT / "models" / "default")
    parser.add_argument("--settings", type=Path, default=Path(__file__).with_name("settings.json"))
    parser.add_argument("--schedule", default="full")
    parser.add_argument("--from", dest="begun", type=Path, help="begin with this model, which the same seed made, instead of random weights")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--until", choices=STEPS, default=STEPS[-1])
    parser.add_argument("--test", type=int, help="score on so many pages of the test alone")
    chosen = parser.parse_args()
    settings = json.loads(chosen.settings.read_text("utf-8"))
    if chosen.schedule not in settings["schedules"]:
        sys.exit(f"--schedule: expected {', '.join(settings['schedules'])}, given {chosen.schedule}")
    work = chosen.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    begin = time.monotonic()

    def reached(step: str) -> bool:
        print(f"{step}: done after {time.monotonic() - begin:.0f} s", file=sys.stderr)
        return STEPS.index(step) >= STEPS.index(chosen.until)

    corpus.write_corpus(work, **settings["corpus"], seed=settings["seed"], threads=chosen.threads)
    if reached("data"):
        return
    if chosen.begun:
        training.take_over(chosen.begun, work)
    if not (work / "tokenizer" / "tokenizer_config.json").exists():
        bpe.write_tokenizer(work / "tokenizer", training.tokenizer_texts(work / "data"), settings["vocabulary"], settings["positions"])
    if reached("tokenizer"):
        return
    trained = training.train(work, settings, chosen.schedule, chosen.threads)
    if reached("training"):
        return
    training.finish(trained, chosen.output)
    bpe.write_fast(chosen.output)
    if reached("model"):
        return
    found = meaning.main(work, chosen.output, settings, chosen.schedule, chosen.threads)
    for by, row in found["rows"].items():
        print("  ".join(f"{value:5.1f} {name}" for name, value in row.items()), f" search by {by}")
    if reached("meaning"):
        return
    for name, value in scores.write_scores(work, chosen.output, settings, chosen.schedule, chosen.threads, chosen.test):
        print(f"{value:6.1f}  {name}")
    reached("scores")


if __name__ == "__main__":
    main()
