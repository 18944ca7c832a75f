#!/usr/bin/env python3
"""What working through a corpus costs beside the model, and what workers and kills do: the goals of docs/scale.md, each as a line of a table.

    benchmarks/corpora.py [rate workers memory kills million] [--documents N] [--folder DIR]

Needs what `make` builds. The corpus is synthetic: documents of words in random order, 200 tokens in the mean, in Parquet. Every rate is of
documents a second, of runs of which the best is taken; the machine should have nothing else to do, but for `kills` and `million`."""
from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "bindings" / "python"))
import longformer_interop as lf  # noqa: E402 - after the path

TOKENIZER = ROOT / "parity-tests" / "goldens" / "tokenizer" / "tiny"
MEAN_TOKENS = 200
ROWS_OF_GROUP = 10_000


# Parquet: uncompressed plain columns of texts, the least that a reader takes (thrift's compact protocol).
def varint(n: int) -> bytes:
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def thrift(fields: dict[int, Any]) -> bytes:
    """A struct. Values: int (i32; a tuple of one: i64), bytes, dict (struct), list of these."""
    out, last = b"", 0
    for number, value in fields.items():
        kind, data = _value(value)
        out += bytes([(number - last) << 4 | kind]) + data
        last = number
    return out + b"\0"


def _value(value: Any) -> tuple[int, bytes]:
    if isinstance(value, int):
        return 5, varint(value << 1)
    if isinstance(value, tuple):
        return 6, varint(value[0] << 1)
    if isinstance(value, bytes):
        return 8, varint(len(value)) + value
    if isinstance(value, dict):
        return 12, thrift(value)
    kinds = [_value(v) for v in value]
    return 9, (bytes([len(value) << 4 | kinds[0][0]]) if len(value) < 15 else bytes([0xF0 | kinds[0][0]]) + varint(len(value))) + b"".join(d for _, d in kinds)


def write_parquet(file: Path, groups: Iterator[dict[str, list[bytes]]]) -> None:
    names: list[str] = []
    described, total = [], 0
    with open(file, "wb") as out:
        out.write(b"PAR1")
        for group in groups:
            names = list(group)
            chunks, size, rows = [], 0, 0
            for name, values in group.items():
                data = b"".join(len(v).to_bytes(4, "little") + v for v in values)
                rows, at = len(values), out.tell()
                page = thrift({1: 0, 2: len(data), 3: len(data), 5: {1: rows, 2: 0, 3: 3, 4: 3}}) + data
                out.write(page)
                meta = {1: 6, 2: [0], 3: [name.encode()], 4: 0, 5: (rows,), 6: (len(page),), 7: (len(page),), 9: (at,)}
                chunks.append({2: (at,), 3: meta})
                size += len(page)
            described.append({1: chunks, 2: (size,), 3: (rows,)})
            total += rows
        schema = [{4: b"schema", 5: len(names)}, *({1: 6, 3: 0, 4: n.encode(), 6: 0} for n in names)]
        footer = thrift({1: 1, 2: schema, 3: (total,), 4: described, 6: b"benchmarks/corpora.py"})
        out.write(footer + len(footer).to_bytes(4, "little") + b"PAR1")


def documents(count: int, mean_words: float, seed: int = 1) -> Iterator[str]:
    """Documents of 0.1 to 1.9 times the mean, evenly."""
    chosen = random.Random(seed)
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(chosen.choices(letters, k=chosen.randint(2, 9))) for _ in range(4000)]
    for _ in range(count):
        yield " ".join(chosen.choices(words, k=max(1, round(mean_words * chosen.uniform(0.1, 1.9)))))


def mean_words(tokenizer: lf.Tokenizer) -> float:
    """How many of these words make the mean number of tokens."""
    sample = list(documents(500, 60.0))
    tokens = sum(len(e.ids) for e in tokenizer.encode_batch(sample))
    return (MEAN_TOKENS - 2) * sum(len(d.split(" ")) for d in sample) / (tokens - 2 * len(sample))


class Bench:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.rows: list[tuple[str, str, str, bool]] = []

    def longformer(self, *arguments: object) -> dict[str, Any]:
        done = subprocess.run([str(ROOT / "longformer"), *map(str, arguments)], capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"longformer {arguments}: {done.stderr}")
        return json.loads(done.stdout) if "--json" in arguments else {}

    def model(self, size: str) -> Path:
        folder = self.folder / size
        if not folder.exists():
            # Positions enough for the longest document.
            self.longformer("random", folder, "--size", size, "--tokenizer", TOKENIZER, *([] if size == "base" else ["--tokens", 1024]))
        return folder

    def corpus(self, count: int) -> Path:
        file = self.folder / f"corpus-{count}.parquet"
        if not file.exists():
            words = mean_words(lf.Tokenizer.load(TOKENIZER))

            def groups() -> Iterator[dict[str, list[bytes]]]:
                left, number = documents(count, words), 0
                while texts := [t.encode() for _, t in zip(range(min(ROWS_OF_GROUP, count - number)), left)]:
                    yield {"id": [b"%d" % (number + i) for i in range(len(texts))], "text": texts}
                    number += len(texts)

            part = file.with_suffix(".tmp")
            write_parquet(part, groups())
            part.rename(file)
        return file

    def run(self, model: Path, corpus: Path, name: str, *more: object, keep: bool = False) -> dict[str, Any]:
        """A run into a new folder, which is removed unless it is kept."""
        output = self.folder / name
        shutil.rmtree(output, ignore_errors=True)
        report = self.longformer("encode", model, "--parquet", corpus, "--column", "text", "--keep", "id", "--parts", output, "--json", *more)
        if not keep:
            shutil.rmtree(output)
        return report

    def tell(self, what: str, goal: str, found: str, reached: bool) -> None:
        self.rows.append((what, goal, found, reached))
        print(f"{what}: {found} (goal {goal}){'' if reached else '  NOT REACHED'}", flush=True)

    def rate(self, count: int, runs: int) -> None:
        """A whole run through Parquet, its start included, against the encoder alone on the same texts in memory. A thread each."""
        corpus, model = self.corpus(count), self.model("tiny")
        texts = list(documents(count, mean_words(lf.Tokenizer.load(TOKENIZER))))
        own, through, tokens = 0.0, 0.0, 0
        lf.set_threads(1)
        with lf.DocumentEncoder.load(model) as encoder:
            encoder.encode(texts[:2000])
            for _ in range(runs):
                started = time.perf_counter()
                # As a part does: its texts by length, so that neither has the better batches.
                for at in range(0, count, 2048):
                    encoder.encode(sorted(texts[at : at + 2048], key=len, reverse=True))
                own = max(own, count / (time.perf_counter() - started))
                report = self.run(model, corpus, "rate", "--threads", 1)
                tokens = report["tokens"]
                through = max(through, count / report["seconds"])
        print(f"model alone {own:.0f} documents/s, through Parquet {through:.0f}, {tokens / count:.0f} tokens each, {through * tokens / count:.0f} tokens/s")
        self.tell("rate through Parquet, of the encoder's own", "90%", f"{through / own:.0%}", through >= 0.9 * own)

    def workers(self, count: int, runs: int) -> None:
        corpus, model = self.corpus(count), self.model("tiny")
        best = {1: 0.0, 2: 0.0}
        for _ in range(runs):
            for n in best:
                best[n] = max(best[n], count / self.run(model, corpus, "workers", "--threads", 1, "--workers", n)["seconds"])
        print(f"one worker {best[1]:.0f} documents/s, two {best[2]:.0f}, a thread each")
        self.tell("two workers against one", "1.8", f"{best[2] / best[1]:.2f}", best[2] >= 1.8 * best[1])

    def memory(self, count: int) -> None:
        """Proportional memory of all processes while base size works, with one worker and with two."""
        corpus, model = self.corpus(count), self.model("base")
        weights = (model / "model.safetensors").stat().st_size
        found: dict[tuple[int, bool], tuple[int, int]] = {}
        for shared in (True, False):
            for n in (1, 2):
                output = self.folder / "memory"
                shutil.rmtree(output, ignore_errors=True)
                # One worker is a process of its own too: share 1 of 2.
                share = ["--workers", 2] if n == 2 else ["--shard", "1/2"]
                command = ["encode", model, "--parquet", corpus, "--parts", output, "--keep", "id", "--threads", 1, "--rows-per-part", 8, *share]
                process = subprocess.Popen([str(ROOT / "longformer"), *map(str, command), *(["--shared-weights"] if shared else [])])
                most, of_file = 0, 0
                while process.poll() is None:
                    everyone = _tree(process.pid)
                    workers = [p for p in everyone if n == 1 or p != process.pid]
                    most = max(most, sum(_pss(p) for p in workers))
                    of_file = max(of_file, sum(_private_of(p, model / "model.safetensors") for p in workers))
                    time.sleep(0.5)
                if process.returncode != 0:
                    raise SystemExit("memory: the run failed")
                found[n, shared] = (most, of_file)
                shutil.rmtree(output)
        for shared in (True, False):
            one, two = found[1, shared][0], found[2, shared][0]
            print(f"{'shared' if shared else 'own'} weights ({weights >> 20} MiB): one worker {one >> 20} MiB, two {two >> 20} MiB")
        added = found[2, True][0] - found[1, True][0]
        copied = found[2, True][1] - found[1, True][1]
        self.tell("weights that the second worker has for itself, --shared-weights", "15%", f"{copied / weights:.1%}", copied <= 0.15 * weights)
        self.tell("all that the second worker adds, of the weights", "15%", f"{added / weights:.0%} ({added >> 20} MiB)", added <= 0.15 * weights)

    def kills(self, count: int, times: int = 20) -> None:
        corpus, model = self.corpus(count), self.model("tiny")
        options = ["--rows-per-part", 128, "--workers", 2, "--threads", 1]
        seconds = self.run(model, corpus, "whole", *options, keep=True)["seconds"]
        output = self.folder / "killed"
        shutil.rmtree(output, ignore_errors=True)
        command = ["encode", model, "--parquet", corpus, "--column", "text", "--keep", "id", "--parts", output, *options]
        chosen, killed = random.Random(7), 0
        while killed < times:
            resume = ["--resume"] if (output / "corpus.json").exists() else []
            process = subprocess.Popen([str(ROOT / "longformer"), *map(str, command), *resume], stderr=subprocess.DEVNULL)
            # Some come while it starts, some while parts are written.
            time.sleep(chosen.uniform(0, max(1.5, 2 * seconds / times)))
            everyone = _tree(process.pid)
            ended = process.poll() is not None
            for pid in everyone:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            process.wait()
            if ended:
                break
            killed += 1
        self.longformer(*command, "--resume")
        same = _content(output) == _content(self.folder / "whole")
        left = [f.name for f in output.iterdir() if not f.name.startswith((".", "part-", "corpus.json"))]
        self.tell(f"killed {killed} times", "20, the same bytes", "the same bytes" if same else "OTHER BYTES", same and killed == times and not left)
        for name in ("whole", "killed"):
            shutil.rmtree(self.folder / name)

    def million(self, count: int, seconds: float) -> None:
        """Two workers with a thread each. A run that the time ends is continued by the next call; the most of all of them counts."""
        output, state = self.folder / "million", self.folder / "million.json"
        so_far = json.loads(state.read_text()) if output.exists() and state.exists() else {"peak": 0, "seconds": 0.0, "runs": 0}
        if so_far["runs"] == 0:
            shutil.rmtree(output, ignore_errors=True)
        command = [
            "encode", self.model("tiny"), "--parquet", self.corpus(count), "--keep", "id", "--parts", output, "--workers", 2, "--threads", 1, "--json",
            *(["--resume"] if so_far["runs"] else []),
        ]  # fmt: skip
        started, peaks = time.perf_counter(), {}
        process = subprocess.Popen([str(ROOT / "longformer"), *map(str, command)], stdout=subprocess.PIPE, text=True)
        while process.poll() is None:
            for pid in _tree(process.pid):
                peaks[pid] = max(peaks.get(pid, 0), _high_water(pid))
            if time.perf_counter() - started > seconds:
                process.terminate()
                process.wait()
            time.sleep(0.5)
        report = process.stdout.read() if process.stdout else ""
        so_far = {
            "peak": max(so_far["peak"], sum(peaks.values())), "seconds": so_far["seconds"] + time.perf_counter() - started, "runs": so_far["runs"] + 1,
        }  # fmt: skip
        if process.returncode != 0:
            state.write_text(json.dumps(so_far))
            print(f"ended after {so_far['seconds']:.0f} s with {len(list(output.glob('part-*')))} parts; call it again to go on")
            self.rows.append(("a million documents", "1,500 MB", "not at the end yet", False))
            return
        done = json.loads(report)
        print(f"{count} documents, {done['parts'] + done['parts_found']} parts in {so_far['seconds']:.0f} s and {so_far['runs']} runs")
        shutil.rmtree(output)
        peak = so_far["peak"]
        self.tell(f"peak memory of {count} documents, all three processes", "1,500 MB", f"{peak / 1e6:,.0f} MB", peak <= 1.5e9)

    def table(self) -> None:
        print("\n| what | goal | found | |\n|---|---:|---:|---|")
        for what, goal, found, reached in self.rows:
            print(f"| {what} | {goal} | {found} | {'reached' if reached else 'not reached'} |")


def _tree(pid: int) -> list[int]:
    """A process and all below it."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        # .NET starts processes from any of its threads.
        for task in os.listdir(f"/proc/{pid}/task"):
            children += Path(f"/proc/{pid}/task/{task}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [pid, *(p for c in {*map(int, children)} for p in _tree(c))]


def _high_water(pid: int) -> int:
    try:
        return next(int(line.split()[1]) << 10 for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        return 0


def _pss(pid: int) -> int:
    try:
        return next(int(line.split()[1]) << 10 for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines() if line.startswith("Pss:"))
    except (OSError, StopIteration):
        return 0


def _private_of(pid: int, file: Path) -> int:
    """Bytes of the mapping of a file that a process has for itself: pages that it wrote to."""
    total, inside = 0, False
    try:
        for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
            if "-" in line.split(" ")[0]:
                inside = line.endswith(str(file))
            elif inside and line.startswith("Private_Dirty:"):
                total += int(line.split()[1]) << 10
    except OSError:
        pass
    return total


def _content(output: Path) -> dict[str, bytes]:
    return {f.name: f.read_bytes() for f in output.glob("part-*")}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", nargs="*", default=["rate", "workers", "memory", "kills", "million"])
    parser.add_argument("--documents", type=int, help="in place of the number of each")
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=1e9, help="how long million may take in one call")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "corpora")
    given = parser.parse_args(arguments)
    bench = Bench(given.folder)
    for what, count in {"rate": 40_000, "workers": 120_000, "memory": 64, "kills": 20_000, "million": 1_000_000}.items():
        if what in given.what:
            number = given.documents or count
            more = {"rate": (given.runs,), "workers": (given.runs,), "million": (given.seconds,)}.get(what, ())
            getattr(bench, what)(number, *more)
    bench.table()
    return 0 if all(reached for *_, reached in bench.rows) else 1


if __name__ == "__main__":
    sys.exit(main())
