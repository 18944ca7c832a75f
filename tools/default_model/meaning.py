"""The default model's sense of meaning: a dense layer over its encoder, learnt from lines and their pages, and how well it finds pages, beside BM25."""
from __future__ import annotations

import hashlib
import json
import random
import shutil
from pathlib import Path

import pages
from debian import Archive, write_whole
from training import longformer, to_bfloat16

# What settings.json says under "meaning" comes before these.
FULL = {"descriptions": 15000, "searched": 5000, "passage_tokens": 192, "max-tokens": 192, "dimension": 192, "epochs": 20, "batch-size": 1024}
TOY = {**FULL, "descriptions": 100, "searched": 150, "epochs": 5, "max-tokens": 64, "pages": 300, "most": 60}
MODULES = ["modules.json", "sentence_bert_config.json", "1_Pooling/config.json", "2_Dense/config.json"]
WEIGHTS = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def lines(records: list[dict]) -> str:
    return "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records)


def chosen(settings: dict, schedule: str) -> dict:
    return TOY if schedule == "toy" else {**FULL, **settings.get("meaning", {})}


def learn(work: Path, model: Path, how: dict, seed: int, threads: int) -> None:
    """Trains the layer by pairs and puts it beside the model, in sentence-transformers' form and bfloat16. Does nothing where it is."""
    folder, data = work / "meaning", work / "data"
    done, encoder = folder / "learnt.json", folder / "encoder"
    weights = hashlib.sha256((model / "model.safetensors").read_bytes()).hexdigest()
    if not (done.exists() and json.loads(done.read_text())["weights"] == weights and (encoder / "modules.json").exists()):
        folder.mkdir(exist_ok=True)
        draw = random.Random(seed)
        pairs = read(data / "pages-train.jsonl")[: how.get("pages")]
        descriptions = read(data / "descriptions-train.jsonl")
        pairs += draw.sample(descriptions, min(how["descriptions"], len(descriptions)))
        for name, records in (("pairs", pairs), ("held", read(data / "pages-dev.jsonl"))):
            write_whole(folder / f"{name}.jsonl", lines([{"query": r["summary"], "text": r["document"]} for r in records]))
        if (encoder / "modules.json").exists():
            shutil.rmtree(encoder)
        # The modules of an earlier run are no part of the encoder that is learnt over.
        start = folder / "start"
        start.mkdir(exist_ok=True)
        for file in model.iterdir():
            if file.is_file() and file.name not in MODULES and file.suffix in (".json", ".txt", ".safetensors"):
                shutil.copyfile(file, start / file.name)
        given = {key: value for key, value in how.items() if key in ("max-tokens", "dimension", "epochs", "batch-size", "learning-rate", "scale", "dropout")}
        result = longformer(
            "train", "pairs", start, "--data", folder / "pairs.jsonl", "--eval", folder / "held.jsonl", "--output", encoder, "--threads", threads,
            "--seed", seed, *(["--resume"] if (encoder / "states").exists() else []), *(f"--{key}={value}" for key, value in given.items()),
        )  # fmt: skip
        write_whole(done, json.dumps({"weights": weights, "pairs": len(pairs), "held": result["metrics"]}))
    for name in MODULES:
        (model / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(encoder / name, model / name)
    to_bfloat16(encoder / "2_Dense" / "model.safetensors", model / "2_Dense" / "model.safetensors")


def questions(records: list[dict], synopses: dict[str, str]) -> list[tuple[str, str]]:
    """The synopsis of every package with pages among some records, where it says something, and the package."""
    found = []
    for package in sorted({r["package"] for r in records}):
        line = pages.clean_line(synopses.get(package, ""))
        if pages.says_something(line):
            found.append((line, package))
    return found


def ranks(index: Path, model: Path, asked: list[tuple[str, str]], threads: int, *options: object) -> list[int]:
    """For each question the rank of the first page of its package among the first hundred; 101: none is there."""
    found = longformer("search", model, "--corpus", index, "--top", 100, "--threads", threads, *options, *(p for line, _ in asked for p in ("--question", line)))
    result = []
    for (_, package), answer in zip(asked, found["questions"], strict=True):
        packages = [r["source"].partition("/")[0] for r in answer["results"]]
        result.append(packages.index(package) + 1 if package in packages else 101)
    return result


def recall(places: list[int]) -> dict[str, float]:
    return {f"recall at {k}": 100 * sum(p <= k for p in places) / len(places) for k in (1, 10, 100)}


def measure(work: Path, model: Path, how: dict, seed: int, threads: int) -> dict:
    """Indexes pages without NAME, all of dev and test and some that were learnt from, and searches them for the synopses of packages never learnt from."""
    folder, data = work / "meaning", work / "data"
    dev, test, train = (read(data / f"pages-{part}.jsonl") for part in ("dev", "test", "train"))
    dev, test = dev[: how.get("most")], test[: how.get("most")]
    more = max(0, how["searched"] - len(dev) - len(test))
    searched = dev + test + random.Random(seed).sample(train, min(more, len(train)))
    listed = folder / "searched.jsonl"
    # A package may have pages of one name in several sections of languages or alternatives: a number keeps them apart.
    write_whole(listed, lines([{"name": f"{r['package']}/{r['page']}#{i}", "document": r["document"]} for i, r in enumerate(searched)]))
    index = folder / "pages.lfindex"
    made = longformer("index", model, "--corpus", listed, "--name-column", "name", "--passage-tokens", how["passage_tokens"], "--output", index, "--threads", threads)
    synopses = {p.name: p.synopsis for p in Archive(work / "archive").packages()}
    held, asked = questions(dev, synopses), questions(test, synopses)
    best = max(WEIGHTS, key=lambda w: (recall(ranks(index, model, held, threads, "--by", "both", "--meaning-weight", w))["recall at 10"], -w))
    rows = {
        "words (BM25)": recall(ranks(index, model, asked, threads, "--by", "words")),
        "meaning": recall(ranks(index, model, asked, threads, "--by", "meaning")),
        f"both, {best} of meaning": recall(ranks(index, model, asked, threads, "--by", "both", "--meaning-weight", best)),
    }
    learnt = json.loads((folder / "learnt.json").read_text())
    result = {
        "rows": rows, "weight": best, "pages": len(searched), "dev": len(dev), "test": len(test), "packages": len(asked), "dev_packages": len(held),
        "passages": made["passages"], "passage_tokens": how["passage_tokens"], "pairs": learnt["pairs"], "held": learnt["held"],
        "max_tokens": how["max-tokens"], "dimension": how["dimension"],
    }  # fmt: skip
    write_whole(folder / "search.json", json.dumps(result, indent=2) + "\n")
    return result


def section(found: dict) -> str:
    """The card's section on search."""
    ks = list(next(iter(found["rows"].values())))
    table = "\n".join(f"| {name} | " + " | ".join(f"{row[k]:.1f}" for k in ks) + " |" for name, row in found["rows"].items())
    words, *others = [row["recall at 10"] for row in found["rows"].values()]
    return f"""## Search
`longformer search` without a folder takes the same encoder with a dense layer of {found["dimension"]} values over its first token, maximum and mean
(`1_Pooling`, `2_Dense`), learnt by `longformer train pairs` from {found["pairs"]:,} lines and the first {found["max_tokens"]} tokens of their pages or
descriptions; the encoder stayed as it was. For the one-line description (synopsis) of each of {found["packages"]} packages whose sources were never learnt from,
in percent whether a page of that package is among the first 1, 10 or 100. Searched: {found["pages"]:,} whole pages without NAME, all {found["test"]} of the test, all
{found["dev"]} of dev, and others that were learnt from, as {found["passages"]:,} passages of up to {found["passage_tokens"]} tokens.

| by | {" | ".join(ks)} |
|---|{"---:|" * len(ks)}
{table}

The weight of meaning was chosen on {found["dev_packages"]} packages of dev. Against BM25 alone meaning is {others[0] - words:+.1f} points at 10, both together {others[1] - words:+.1f}.
The goal was 20 points over BM25{"" if max(others) >= words + 20 else ", which was not reached"}.
"""


def main(work: Path, model: Path, settings: dict, schedule: str, threads: int) -> dict:
    """Learns and measures; what is there for this model is not made again."""
    how = chosen(settings, schedule)
    learn(work, model, how, settings["seed"], threads)
    return measure(work, model, how, settings["seed"], threads)
