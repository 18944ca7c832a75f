#!/usr/bin/env python3
"""A real character language model from nothing: 47 MB of English dictionaries from Debian, beside compressors; and the paper's ablation in small.

    .venv/bin/python benchmarks/charlm_debian.py WORK [--what data baselines train sample ablation] [--threads N] [--hours H]

WORK is a folder for everything; what is there already is not made again, and a stopped training continues. It makes

    text           GNU's Collaborative International Dictionary of English, the Free On-Line Dictionary of Computing, the Jargon File and the Devil's
                   Dictionary (packages dict-gcide, dict-foldoc, dict-jargon, dict-devil), cut at their entries into pieces of 64 KB that are
                   shuffled by a seed, so that the parts (90, 5 and 5 percent) are alike
    baselines      bits per character of xz -9e, bzip2 -9 and PPMd (7zz) on the test part: as a file of its own, and behind the rest of the text
    run            the training in phases, with its curves; the test part measured as the paper does it, and a text that it writes
    ablation       the same budget for windows that grow upwards, stay the same and shrink, with and without dilation, three seeds each
    results.json, results.md

The packages come from the archive that this machine's apt is set up with."""
from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools" / "default_model"))

from debian import write_whole  # noqa: E402
from training import longformer  # noqa: E402

DICTIONARIES = ["gcide", "foldoc", "jargon", "devil"]
PARTS = ["data", "baselines", "train", "sample", "ablation"]
# Eight layers of 256: 6.8 million parameters.
MODEL = {"n_layer": 8, "d_model": 256, "n_head": 8, "d_head": 32, "d_inner": 1024}


def make_text(work: Path, seed: int) -> None:
    """Entries in pieces of 64 KB, shuffled."""
    debs = work / "debs"
    debs.mkdir(parents=True, exist_ok=True)
    names = [f"dict-{name}" for name in DICTIONARIES]
    subprocess.run(["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", *names], cwd=debs, check=True, stdin=subprocess.DEVNULL)
    pieces, versions = [], []
    for name in DICTIONARIES:
        (deb,) = debs.glob(f"dict-{name}_*.deb")
        versions.append(deb.stem)
        subprocess.run(["dpkg-deb", "-x", deb, work / "unpacked"], check=True)
        whole = gzip.open(work / "unpacked" / "usr" / "share" / "dictd" / f"{name}.dict.dz").read()
        piece = b""
        # An entry begins at the left margin.
        for entry in re.split(rb"(?<=\n)(?=\n\S)", whole):
            piece += entry
            if len(piece) >= 65536:
                pieces.append(piece)
                piece = b""
        pieces.append(piece)
    random.Random(seed).shuffle(pieces)
    part = work / "text.part"
    part.write_bytes(b"".join(pieces))
    os.replace(part, work / "text")
    write_whole(work / "packages.json", json.dumps(versions))
    shutil.rmtree(work / "unpacked")


def test_part(work: Path) -> bytes:
    """The last twentieth, as `train char-lm` splits a file."""
    whole = (work / "text").read_bytes()
    return whole[len(whole) - len(whole) * 5 // 100 :]


def ppmd(work: Path, file: Path, order: int) -> int:
    program = shutil.which("7zz") or shutil.which("7z")
    if program is None:
        sys.exit("expected 7zz or 7z on the path (Debian: 7zip), found neither")
    packed = work / "packed.7z"
    packed.unlink(missing_ok=True)
    subprocess.run([program, "a", f"-m0=PPMd:o={order}:mem=1500m", packed, file], capture_output=True, check=True)
    size = packed.stat().st_size
    packed.unlink()
    return size


def baselines(work: Path) -> dict[str, float]:
    """Bits per character of compressors on the test part: alone, and behind all that comes before it (what the whole takes more than that)."""
    data, file = test_part(work), work / "test-part"
    file.write_bytes(data)
    found = {}
    for name, command in {"xz -9e": ["xz", "-9e", "-k", "-c"], "bzip2 -9": ["bzip2", "-9", "-k", "-c"]}.items():
        found[name] = 8 * len(subprocess.run([*command, file], capture_output=True, check=True).stdout) / len(data)
    for order in (8, 16, 32):
        found[f"PPMd, order {order}"] = 8 * ppmd(work, file, order) / len(data)
    before = work / "before-test-part"
    before.write_bytes((work / "text").read_bytes()[: -len(data)])

    def xz(path: Path) -> int:
        return len(subprocess.run(["xz", "-9e", "-k", "-c", path], capture_output=True, check=True).stdout)

    found["xz -9e, behind the rest of the text"] = 8 * (xz(work / "text") - xz(before)) / len(data)
    found["PPMd, order 16, behind the rest of the text"] = 8 * (ppmd(work, work / "text", 16) - ppmd(work, before, 16)) / len(data)
    return found


def schedule(hours: float, characters_per_second: float) -> dict:
    """Windows that double, sequences that grow, as in the paper; the steps are what the hours allow at that rate."""
    characters = hours * 3600 * characters_per_second
    wide = [32, 32, 64, 64, 128, 256, 512, 512]
    shares = [(0.45, 512, 8, 1e-3, [16, 16, 32, 32, 64, 64, 128, 128]), (0.3, 1024, 4, 5e-4, [32, 32, 64, 64, 128, 128, 256, 256]),
              (0.15, 2048, 4, 2e-4, wide), (0.1, 2048, 4, 5e-5, wide)]  # fmt: skip
    phases = [
        {"steps": max(20, round(share * characters / (length * batch))), "sequence_length": length, "batch": batch, "learning_rate": rate,
         "warmup_steps": 100 if i == 0 else 20, "window": window, "dilation": [[1] * 8] * 6 + [[1] * 6 + [2] * 2] * 2}
        for i, (share, length, batch, rate, window) in enumerate(shares)
    ]  # fmt: skip
    return {"dropout": 0.0, "weight_decay": 0.01, "max_grad_norm": 0.25, "model": {**MODEL, "activation": "gelu"}, "phases": phases}


def train(work: Path, name: str, settings: dict, threads: int, seed: int, *options: object) -> Path:
    """A training under its schedule; continues one that was stopped."""
    output, file = work / name, work / f"{name}.json"
    if not file.exists():
        write_whole(file, json.dumps(settings, indent=1))
    if not (output / "model.safetensors").exists():
        longformer("train", "char-lm", "--data", work / "text", "--schedule", file, "--output", output, "--threads", threads, "--seed", seed,
                   "--dtype", "bfloat16", "--save-every", 250, *options, *(["--resume"] if (output / "checkpoints").exists() else []))  # fmt: skip
    return output


def measured(work: Path, model: Path, threads: int, *options: object) -> dict:
    begin = time.time()
    found = longformer("evaluate", "char-lm", model, "--data", work / "text", "--part", "test", "--threads", threads, *options)
    return {"bits_per_character": found["bits_per_character"], "seconds": round(time.time() - begin)}


def steps_of(folder: Path) -> list[dict]:
    return [r for r in map(json.loads, (folder / "log.jsonl").read_text().splitlines()) if "loss" in r and "seconds" in r]


def ablation(work: Path, threads: int, steps: int, seeds: list[int]) -> dict[str, dict]:
    """The paper's table of windows, in small: a model of four layers, the same budget for each; the mean window is the same for all but dilation."""
    grow = [16, 32, 64, 128]
    same = [60, 60, 60, 60]
    kinds = {"growing upwards": (grow, 1), "the same everywhere": (same, 1), "shrinking upwards": (grow[::-1], 1), "growing, two dilated heads": (grow, 2)}
    found = {}
    for name, (window, dilation) in kinds.items():
        heads = [[1] * 4] * 2 + [[1, 1, dilation, dilation]] * 2
        phase = {"steps": steps, "sequence_length": 512, "batch": 8, "learning_rate": 2e-3, "warmup_steps": 50, "window": window, "dilation": heads}
        settings = {"dropout": 0.0, "weight_decay": 0.01, "max_grad_norm": 0.25, "phases": [phase],
                    "model": {"n_layer": 4, "d_model": 128, "n_head": 4, "d_head": 32, "d_inner": 512, "activation": "gelu"}}  # fmt: skip
        bits = []
        for seed in seeds:
            folder = train(work, f"ablation-{name.replace(' ', '-').replace(',', '')}-{seed}", settings, threads, seed, "--eval-characters", 200_000)
            bits.append(measured(work, folder, threads, "--one-pass", "--every-character")["bits_per_character"])
        found[name] = {"bits": bits, "mean": statistics.mean(bits), "spread": statistics.stdev(bits) if len(bits) > 1 else 0.0}
    return found


def table(results: dict) -> str:
    lines = ["| test part | bits per character |", "|---|---:|"]
    if "train" in results:
        lines.append(f"| this model, {results['train']['parameters']:,} parameters | **{results['train']['test']['bits_per_character']:.3f}** |")
    lines += [f"| {name} | {bits:.3f} |" for name, bits in results.get("baselines", {}).items()]
    if "ablation" in results:
        lines += ["", "| windows | mean of the seeds | spread | each |", "|---|---:|---:|---|"]
        lines += [f"| {n} | {r['mean']:.4f} | {r['spread']:.4f} | {', '.join(f'{b:.4f}' for b in r['bits'])} |" for n, r in results["ablation"].items()]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--what", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--hours", type=float, default=2.5, help="of training, evaluations aside, at --rate")
    parser.add_argument("--rate", type=float, default=4000, help="characters a second that these threads learn (a schedule that is there stays)")
    parser.add_argument("--ablation-steps", type=int, default=1000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--seed", type=int, default=42)
    chosen = parser.parse_args()
    work = chosen.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    if not (work / "text").exists():
        make_text(work, chosen.seed)
    path = work / "results.json"
    results = json.loads(path.read_text()) if path.exists() else {}
    results["text"] = {"bytes": (work / "text").stat().st_size, "packages": json.loads((work / "packages.json").read_text())}
    for part in chosen.what:
        if part == "baselines" and part not in results:
            results[part] = baselines(work)
        elif part == "train" and part not in results:
            folder = train(work, "run", schedule(chosen.hours, chosen.rate), chosen.threads, chosen.seed, "--eval-every", 1000, "--eval-characters", 200_000)
            done = steps_of(folder)
            results[part] = {
                "steps": len(done), "minutes": round(sum(r["seconds"] for r in done) / 60), "parameters": longformer("info", folder)["parameters"],
                "test": measured(work, folder, chosen.threads, "--one-pass", "--every-character"),
            }  # fmt: skip
        elif part == "sample" and part not in results and (work / "run").exists():
            options = ["--prompt", "\nLongformer \\Long\"form`er\\, n. ", "--characters", 800, "--temperature", 0.7, "--seed", chosen.seed]
            results[part] = longformer("generate", work / "run", *options, "--threads", chosen.threads)
        elif part == "ablation" and part not in results:
            results[part] = ablation(work, chosen.threads, chosen.ablation_steps, chosen.seeds)
        write_whole(path, json.dumps(results, indent=2))
    write_whole(work / "results.md", table(results))
    print(table(results))


if __name__ == "__main__":
    main()
