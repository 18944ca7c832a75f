"""Scores of the default model on pages of packages it never saw, beside what needs no model; the model card."""
from __future__ import annotations

import collections
import json
import lzma
import random
import re
import shutil
from pathlib import Path

import meaning
import pages
import training
from debian import write_whole
from training import longformer

MOST_BYTES = 16_000_000


def rouge_l(reference: str, candidate: str) -> float:
    """F1 of the longest common subsequence of words, as rouge_score has it without stemming; 0 to 100."""
    wanted, given = (re.findall(r"[a-z0-9]+", text.lower()) for text in (reference, candidate))
    if not wanted or not given:
        return 0.0
    row = [0] * (len(given) + 1)
    for word in wanted:
        before = 0
        for i, other in enumerate(given, 1):
            before, row[i] = row[i], before + 1 if word == other else max(row[i], row[i - 1])
    return 200.0 * row[-1] / (len(wanted) + len(given))


def mean_rouge(records: list[dict], said: list[str]) -> float:
    return sum(rouge_l(r["summary"], s) for r, s in zip(records, said, strict=True)) / len(records)


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def baselines(train: list[dict], test: list[dict]) -> dict[str, list[str]]:
    """What each rule says of each page of the test."""
    commonest = min(collections.Counter(r["summary"] for r in train).items(), key=lambda item: (-item[1], item[0]))[0]
    return {
        "first sentence of DESCRIPTION, cut to 12 words": [pages.first_sentence(r["document"]) for r in test],
        "words of the title": [pages.title_words(r["document"]) for r in test],
        f'the most common line ("{commonest}")': [commonest] * len(test),
    }


def predictions(model: Path, data: Path, work: Path, name: str, threads: int, *options: object) -> list[str]:
    """What the model writes greedily for each record, in their order."""
    output = work / f"{name}.jsonl"
    longformer("evaluate", "summarize", model, "--data", data, "--output", output, "--max-target-tokens", 64, "--threads", threads, *options)
    # A record's source ends in its line: files.jsonl:12.
    numbered = {int(re.findall(r"\d+", r["source"])[-1]): r["summary"] for r in read(output)}
    return [numbered[line] for line in sorted(numbered)]


def written(model: Path, data: Path, work: Path, threads: int, *options: object) -> list[str]:
    """What `longformer summarize` writes for each record, in their order: with the model's own generation settings, as users see it."""
    parts = work / "parts"
    shutil.rmtree(parts, ignore_errors=True)
    longformer("summarize", model, "--corpus", data, "--text-column", "document", "--keep", "page", "--truncate", "--parts", parts,
               "--format", "jsonl", "--threads", threads, *options)  # fmt: skip
    return [r["summary"] for part in sorted(parts.glob("part-*.jsonl")) for r in read(part)]


def phases_of(settings: dict, schedule: str, work: Path) -> list[dict]:
    """What was trained, phase by phase: those of the model that the run began with, if it did, and its own."""
    before = training.begun(work) / "training.json"
    phases = json.loads(before.read_text("utf-8")) if before.exists() else []
    for phase in settings["schedules"][schedule]:
        log = read(work / "runs" / phase["name"] / "log.jsonl")
        steps = [r for r in log if "loss" in r and "tokens" in r]
        losses = [r["loss"] for r in steps]
        ends = (sum(losses[:5]) / len(losses[:5]), sum(losses[-5:]) / len(losses[-5:]))
        options = ", ".join(f"{k} {v}" for k, v in {**settings["common"], **phase["settings"]}.items())
        phases.append({
            "phase": phase["name"], "data": phase["data"], "positions": phase["positions"], "steps": len(steps), "tokens": sum(r["tokens"] for r in steps),
            "minutes": round(sum(r.get("seconds", 0) for r in steps) / 60), "loss": [round(end, 2) for end in ends], "settings": options,
        })  # fmt: skip
    return phases


def card(settings: dict, trained: list[dict], work: Path, rows: list[tuple[str, float]], test: list[dict], said: list[str], counts: dict[str, int]) -> str:
    """The model card: data, time, scores, twenty pages that nobody chose, licence."""
    phases = [
        f"| {p['phase']} | {p['data']} | {p['positions']:,} | {p['steps']:,} | {p['tokens']:,} | {p['minutes']} | "
        f"{p['loss'][0]:.2f} → {p['loss'][1]:.2f} | {p['settings']} |"
        for p in trained
    ]
    chosen = sorted(random.Random(settings["seed"]).sample(range(len(test)), min(20, len(test))))
    examples = "\n".join(f"| {test[i]['page']} | {said[i]} | {test[i]['summary']} |".replace("||", "| |") for i in chosen)
    scores = "\n".join(f"| {name} | {value:.1f} |" for name, value in rows)
    found = work / "meaning" / "search.json"
    search = meaning.section(json.loads(found.read_text("utf-8"))) if found.exists() else ""
    return f"""---
language: en
license: other
library_name: longformer-interop
tags: [led, longformer, summarization]
---
# What a manual page is for

A small LED that reads a whole manual page (to {settings["positions"]:,} tokens) and writes in one line what it is for: the line of its section NAME,
which was taken out of what it read. Trained from random weights by this project's own training (`make default-model`), seed {settings["seed"]}.

## Scores
ROUGE-L (F1, no stemming) of the lines on {len(test):,} pages of packages whose source package was never learnt from:

| | ROUGE-L |
|---|---:|
{scores}

## Twenty pages it never saw
Drawn by the seed, not chosen.

| page | it said | NAME says |
|---|---|---|
{examples}

{search}
## Data
Manual pages (English, rendered by mandoc) and package descriptions of Debian's main archive, pages of one package a source; sections 1, 5 and 8 are measured, the
others are learnt from alone. Stubs, duplicates and lines that say nothing ("manual page for X") are left out. Split by source package: 92 % train, 3 % dev, 5 % test. `packages.tsv.xz` lists packages, versions and licences.

| records | |
|---|---:|
{chr(10).join(f"| {name} | {count:,} |" for name, count in counts.items())}

## Training

| phase | data | positions | steps | tokens | minutes | loss | settings |
|---|---|---:|---:|---:|---:|---|---|
{chr(10).join(phases)}

The curves of the two longest are `curves-*.svg`. The weights are rounded to bfloat16 after the last step.

## What it does badly
It knows English only, and only the form of pages as mandoc or `man --nj --nh | col -b` prints them. It copies words that stand early in a page and guesses the
rest: a line may be fluent and wrong. Do not use it where that matters.

## Licence
The weights have the licence of this repository. The pages and descriptions they were learnt from are free software under the licences of their packages
(DFSG-free; names in `packages.tsv.xz`); none of their text is in this folder.
"""


def write_scores(work: Path, model: Path, settings: dict, schedule: str, threads: int, most: int | None) -> list[tuple[str, float]]:
    """Scores the model, and writes scores.json, the card, the curves and the list of packages beside it."""
    data, scored = work / "data", work / "scores"
    scored.mkdir(exist_ok=True)
    train, test = read(data / "pages-train.jsonl"), read(data / "pages-test.jsonl")[:most]
    write_whole(scored / "test.jsonl", "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in test))
    whole = written(model, scored / "test.jsonl", scored, threads)
    greedy = predictions(model, scored / "test.jsonl", scored, "whole", threads)
    cut = predictions(model, scored / "test.jsonl", scored, "cut", threads, "--max-tokens", 1024)
    # The search's best, which HF writes.
    search = written(model, scored / "test.jsonl", scored, threads, "--rerank=-1")
    rows = [("**whole pages, as it writes by itself (of 16 beams the line whose words are the page's)**", mean_rouge(test, whole)),
            ("whole pages, the most probable of 16 beams", mean_rouge(test, search)), ("whole pages, greedily", mean_rouge(test, greedy)),
            ("pages cut to 1,024 tokens, greedily", mean_rouge(test, cut))]
    rows += [(name, mean_rouge(test, said)) for name, said in baselines(train, test).items()]
    counts = {path.stem: path.read_bytes().count(b"\n") for path in sorted(data.glob("*-*.jsonl"))}
    write_whole(model / "scores.json", json.dumps(dict(rows), indent=2, ensure_ascii=False) + "\n")
    trained = phases_of(settings, schedule, work)
    write_whole(model / "training.json", json.dumps(trained, separators=(",", ":"), ensure_ascii=False) + "\n")
    write_whole(model / "README.md", card(settings, trained, work, rows, test, whole, counts))
    packages = read(data / "packages.jsonl")
    table = "package\tversion\tpart\tlicences\n" + "".join(f"{p['package']}\t{p['version']}\t{p['part']}\t{', '.join(p['licences'])}\n" for p in packages)
    # Without a time in it, so that the same packages give the same bytes.
    (model / "packages.tsv.xz").write_bytes(lzma.compress(table.encode(), preset=9 | lzma.PRESET_EXTREME))
    # Of the two longest phases; all would take more room than is left.
    for old in model.glob("curves-*.svg"):
        old.unlink()
    for phase in sorted(settings["schedules"][schedule], key=lambda phase: phase["settings"]["steps"])[-2:]:
        drawn = (work / "runs" / phase["name"] / "curves.svg").read_text("utf-8")
        # Tenths of a pixel are enough, and nobody reads how it is indented.
        drawn = re.sub(r'(?m)^ +| shape-rendering="\w+"', "", drawn)
        write_whole(model / f"curves-{phase['name']}.svg", re.sub(r"\d+\.\d{2,}", lambda number: f"{float(number[0]):.1f}", drawn))
    size = sum(p.stat().st_size for p in model.rglob("*") if p.is_file())
    if size > MOST_BYTES:
        raise SystemExit(f"{model}: expected at most 16 MB in all, given {size / 1e6:.1f} MB")
    return rows
