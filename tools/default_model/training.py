"""The phases of the default model's training, each a `longformer train summarize` that continues where it was stopped."""
from __future__ import annotations

import itertools
import json
import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pages
from debian import write_whole
from start import start_weights

ROOT = Path(__file__).resolve().parents[2]
TOKENIZER = ("vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json")


def longformer(*arguments: object) -> dict:
    """Runs the command line and returns its JSON. Its messages go to standard error."""
    command = [str(ROOT / "longformer"), *map(str, arguments), "--json"]
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if run.returncode:
        sys.exit(f"{' '.join(command)}: exit status {run.returncode}")
    return json.loads(run.stdout)


def exercise(record: dict, seed: int, hidden: float = 0.2, words: int = 44) -> dict | None:
    """A text with one word in five hidden; its line is the opening of the text as it was. To write it, a model must find the opening, copy words
    and guess those that are hidden: it learns from some forty words of each text, where a line has ten (BART's text infilling, word by word)."""
    opening = pages.first_paragraphs(record["document"]).split()[:words]
    if len(opening) < 12:
        return None
    chance = random.Random(f"{seed}:{record['package']}:{len(record['document'])}")
    document = re.sub(r"(?m)(?<=\s)\w[\w'-]*", lambda match: "_" if chance.random() < hidden else match[0], record["document"])
    return {**record, "document": document, "summary": " ".join(opening)}


def gap(record: dict) -> dict | None:
    """A text without its opening sentence, and that sentence: what a text is about must be found in the rest of it (gap sentences, "PEGASUS", 2020).
    The opening alone, because it is what NAME says again in most pages."""
    document = record["document"]
    body = pages.first_paragraphs(document)
    sentence = re.match(r"(?s)\S.*?(?:[.!?](?=\s+[A-Z])|(?=\n\s*\n)|\Z)", body)
    if sentence is None or not 6 <= len(sentence[0].split()) <= 30 or len(body) - len(sentence[0]) < 120:
        return None
    at = document.index(body)
    said = pages.clean_line(sentence[0])
    letters = sum(c.isascii() and c.isalpha() for c in said)
    if letters < 0.6 * len(said):
        return None
    return {**record, "document": document[:at] + "_" + document[at + len(sentence[0]) :], "summary": said}


def exercises(name: str, records: list[dict], seed: int) -> list[dict]:
    """The records of "copy", "mixed" or "lines", as `write_exercises` has them."""
    if name == "copy":
        return [r for r in (exercise(record, seed) for record in records) if r]
    return [*records, *(r for r in map(gap, records) if r)] if name == "mixed" else [*records]


def write_exercises(data: Path, seed: int) -> None:
    """What is learnt beside pages alone: "copy" (descriptions and pages with words hidden, and their openings), "lines" (pages and descriptions with
    their lines) and "mixed" (these, and all with their opening sentence hidden)."""
    for part in ("train", "dev"):
        missing = [name for name in ("copy", "mixed", "lines") if not (data / f"{name}-{part}.jsonl").exists()]
        if not missing:
            continue
        records = []
        for kind in ("descriptions", "pages"):
            with open(data / f"{kind}-{part}.jsonl", encoding="utf-8") as file:
                records += [json.loads(line) for line in file]
        for name in missing:
            made = exercises(name, records, seed)
            random.Random(seed).shuffle(made)
            write_whole(data / f"{name}-{part}.jsonl", "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in made))


def tokenizer_texts(data: Path, most: int = 30_000_000):
    """Texts of the part that is learnt from, pages and descriptions in turn, up to so many characters."""
    with open(data / "pages-train.jsonl", encoding="utf-8") as first, open(data / "descriptions-train.jsonl", encoding="utf-8") as second:
        for line in itertools.chain.from_iterable(itertools.zip_longest(first, second)):
            if line is not None and most > 0:
                record = json.loads(line)
                most -= len(record["document"])
                yield record["document"]
                yield record["summary"]


def configuration(settings: dict, vocabulary: int, positions: int) -> dict:
    """HF's config.json. Embeddings and the output's weights are one table, which halves what words cost and binds reading and writing a word."""
    return {
        "model_type": "led", "architectures": ["LEDForConditionalGeneration"], "vocab_size": vocabulary, **settings["model"],
        "max_encoder_position_embeddings": positions, "activation_function": "gelu", "tie_word_embeddings": True, "is_encoder_decoder": True,
        "bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2, "init_std": 0.02,
    }  # fmt: skip


def start_folder(work: Path, settings: dict, phase: dict, before: Path | None) -> Path:
    """Where a phase begins: a configuration without weights, the phase before, or that one with more positions."""
    if before is None:
        folder = work / "start"
        shutil.copytree(work / "tokenizer", folder, dirs_exist_ok=True)
        if begun(work).exists():
            shorten(begun(work), folder, phase["positions"])
            return folder
        vocabulary = len(json.loads((folder / "vocab.json").read_text("utf-8")))
        config = configuration(settings, vocabulary, phase["positions"])
        write_whole(folder / "config.json", json.dumps(config, indent=2) + "\n")
        weights = start_weights(config, settings["seed"])
        write_safetensors(folder / "model.safetensors", {n: ("F32", list(w.shape), w.tobytes()) for n, w in weights.items()}, {"format": "pt"})
        return folder
    if json.loads((before / "config.json").read_text())["max_encoder_position_embeddings"] == phase["positions"]:
        return before
    folder = work / "runs" / f"{phase['name']}-start"
    if not (folder / "model.safetensors").exists():
        # The trained positions are repeated, as the paper does it.
        longformer("convert", before, "--to", "led", "--positions", phase["positions"], "--output", folder, "--overwrite")
    return folder


def begun(work: Path) -> Path:
    """Where the model is that a run began with, if it began with one."""
    return work / "begun"


def take_over(model: Path, work: Path) -> None:
    """Copies a model that a run is to begin with, once: the run's own model may come in its place."""
    if begun(work).exists():
        return
    if not (model / "training.json").exists():
        sys.exit(f"{model}: expected a model that this program made, with training.json, to begin with")
    if (work / "runs").exists():
        sys.exit(f"{work}: expected no phases yet, to begin with {model}; give another folder by --work")
    part = work / "begun.part"
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(model, part)
    (work / "tokenizer").mkdir(exist_ok=True)
    for name in TOKENIZER:
        shutil.copyfile(model / name, work / "tokenizer" / name)
    os.replace(part, begun(work))


def shorten(model: Path, target: Path, positions: int) -> None:
    """Writes a model with its first positions alone, in float32."""
    config = json.loads((model / "config.json").read_text("utf-8"))
    config["max_encoder_position_embeddings"] = positions
    config.pop("torch_dtype", None)
    write_whole(target / "config.json", json.dumps(config, indent=2) + "\n")
    tensors, metadata = read_safetensors(model / "model.safetensors")
    for name, (dtype, shape, raw) in tensors.items():
        if dtype == "BF16":
            raw, dtype = (np.frombuffer(raw, np.uint16).astype(np.uint32) << 16).tobytes(), "F32"
        if name.endswith("encoder.embed_positions.weight"):
            raw, shape = raw[: positions * shape[1] * 4], [positions, shape[1]]
        tensors[name] = (dtype, shape, raw)
    write_safetensors(target / "model.safetensors", tensors, metadata)


def train(work: Path, settings: dict, schedule: str, threads: int) -> Path:
    """Runs what is missing of the phases; returns the folder of the last."""
    data, before = work / "data", None
    write_exercises(data, settings["seed"])
    for phase in settings["schedules"][schedule]:
        start = start_folder(work, settings, phase, before)
        output = work / "runs" / phase["name"]
        if not (output / "model.safetensors").exists():
            given = {**settings["common"], **phase["settings"]}
            options = [f"--{key}" if value is True else f"--{key}={value}" for key, value in given.items()]
            longformer(
                "train", "summarize", start, "--data", data / f"{phase['data']}-train.jsonl",
                "--eval", data / f"{phase.get('eval', phase['data'])}-dev.jsonl",
                "--output", output, "--threads", threads, "--seed", settings["seed"], *options,
                *(["--resume"] if (output / "checkpoints").exists() else []),
            )  # fmt: skip
        before = output
    assert before is not None
    return before


def write_safetensors(path: Path, tensors: dict[str, tuple[str, list[int], bytes]], metadata: dict[str, str]) -> None:
    """A safetensors file of tensors: dtype, shape, bytes."""
    header, offset = {"__metadata__": metadata}, 0
    for name, (dtype, shape, raw) in sorted(tensors.items()):
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + len(raw)]}
        offset += len(raw)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    part = path.with_name(path.name + ".part")
    part.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(raw for _, (_, _, raw) in sorted(tensors.items())))
    os.replace(part, path)


def read_safetensors(path: Path) -> tuple[dict[str, tuple[str, list[int], bytes]], dict[str, str]]:
    """The tensors of a safetensors file (dtype, shape, bytes), and its metadata."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    metadata = header.pop("__metadata__", {"format": "pt"})
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        tensors[name] = (entry["dtype"], entry["shape"], data[8 + length + begin : 8 + length + end])
    return tensors, metadata


def to_bfloat16(source: Path, target: Path) -> None:
    """Writes a safetensors file with its float32 tensors as bfloat16, rounded to the nearest, ties to even."""
    tensors, metadata = read_safetensors(source)
    for name, (dtype, shape, raw) in tensors.items():
        if dtype == "F32":
            bits = np.frombuffer(raw, np.uint32).astype(np.uint64)
            tensors[name] = ("BF16", shape, ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16).tobytes())
    write_safetensors(target, tensors, metadata)


def finish(trained: Path, model: Path) -> None:
    """Writes the model's folder: weights in bfloat16, the tokenizer, and how it writes by itself."""
    model.mkdir(parents=True, exist_ok=True)
    for name in TOKENIZER:
        shutil.copyfile(trained / name, model / name)
    config = json.loads((trained / "config.json").read_text())
    config["torch_dtype"] = "bfloat16"
    write_whole(model / "config.json", json.dumps(config, indent=2) + "\n")
    # Chosen on the pages to develop on: beams that stop early write lines that are too short, and of many beams the one whose words are the page's is
    # better than the most probable one (decision 163).
    generation = {"num_beams": 16, "rerank": 2.0, "max_length": 64, "no_repeat_ngram_size": 3, "early_stopping": False, "decoder_start_token_id": 2,
                  "bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1}  # fmt: skip
    write_whole(model / "generation_config.json", json.dumps(generation, indent=2) + "\n")
    to_bfloat16(trained / "model.safetensors", model / "model.safetensors")
