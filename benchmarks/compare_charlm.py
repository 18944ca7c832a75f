#!/usr/bin/env python3
"""compare_charlm.py --root DIR [--what steps memory long attention] [options]: the character model beside a dense one in PyTorch, on this machine.

The paper's small model (12 layers of 512, 8 heads, windows of the first phase, two dilated heads in the upper layers, dropout 0.2), float32, batch 1,
AdamW. Ours is `longformer train char-lm`, whose log has the time of each step; the peer (peers/dense_charlm.py) computes the same model with n x n
masks, by its faster way at its best settings. DIR is a Debian root folder as for compare.py.
  steps      a step at 2,048 characters
  memory     the highest memory of a step at 8,192, for both with two layers (all twelve do not fit the peer, but for its layers running again)
  long       a step at 2,048 and at 32,256 characters with the same windows, layers run again: time per character, memory
  attention  the attention with relative positions over the one without, forward and backward
Writes what it measured into charlm.json in benchmarks/results (or --output), beside what is there of other parts. Needs nothing but Python's own library.
"""
import argparse
import json
import os
import pathlib
import random
import sys
import tempfile

from peer import BEST, HERE, LONGFORMER, Peer, cpu_name, run

WINDOWS = [32, 32, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512]
PARTS = ["steps", "memory", "long", "attention"]


def schedule(tokens, steps, layers):
    """The first phase's model; the lowest and the highest layers where there are fewer."""
    chosen = list(range(12)) if layers == 12 else [0, 11][:layers]
    dilation = [[1] * 6 + [1 if i < 6 else (i - 6) // 2 + 2] * 2 for i in chosen]
    phase = {"steps": steps, "sequence_length": tokens, "batch": 1, "learning_rate": 2.5e-4, "window": [WINDOWS[i] for i in chosen], "dilation": dilation}
    return {"model": {"n_layer": len(chosen)}, "phases": [phase]}


class Ours:
    def __init__(self, folder, threads):
        self.folder, self.threads, self.runs = folder, threads, 0
        self.data = folder / "text"
        # As many symbols as enwik8 has; what they say makes no difference to the time.
        self.data.write_bytes(bytes(random.Random(0).choices(range(20, 225), k=70_000)))

    def step(self, tokens, steps=3, layers=12, recompute=False):
        """Trains a few steps and returns the best step's seconds, the highest memory, and the folder."""
        self.runs += 1
        output, settings = self.folder / f"run{self.runs}", self.folder / f"schedule{self.runs}.json"
        settings.write_text(json.dumps(schedule(tokens, steps, layers)))
        command = [LONGFORMER, "train", "char-lm", "--data", self.data, "--split", "70000,0,0", "--schedule", settings, "--output", output, "--threads", self.threads]
        peak = self.peak([str(word) for word in [*command, *(["--recompute"] if recompute else [])]])
        lines = [json.loads(line) for line in (output / "log.jsonl").read_text().splitlines()]
        times = [line["seconds"] for line in lines if "loss" in line]
        return {"tokens": tokens, "layers": layers, "recompute": recompute, "seconds": min(times[1:] or times), "all": times, "peak_bytes": peak, "folder": str(output)}

    @staticmethod
    def peak(command):
        with tempfile.TemporaryFile() as errors:
            child = os.posix_spawn(command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, errors.fileno(), 2), (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)])
            _, status, used = os.wait4(child, 0)
            if status:
                errors.seek(0)
                sys.exit(f"compare_charlm.py: {' '.join(command)} failed:\n{errors.read().decode()[-2000:]}")
        return used.ru_maxrss * 1024

    def bits(self, folder, tokens):
        out = run([LONGFORMER, "evaluate", "char-lm", folder, "--data", self.data, "--part", "train", "--split", f"{tokens + 1},0,0", "--length", tokens, "--step", tokens,
                   "--threads", self.threads, "--json"])
        return json.loads(out)["bits_per_character"]


def steps(ours, peer, a):
    mine = ours.step(2048, steps=a.runs + 1)
    given = [peer.inside(mine["folder"]), peer.inside(ours.data), 2048]
    ways = {way: peer.measure("dense_charlm.py", BEST, *given, "--runs", 1, "--way", way)[0] for way in ("einsum", "sdpa")}
    best = min(ways, key=lambda way: min(ways[way]["seconds"]))
    theirs = peer.measure("dense_charlm.py", BEST, *given, "--runs", a.runs, "--way", best)[0]
    again = ours.step(2048, steps=a.runs + 1)
    same = ours.bits(mine["folder"], 2048)
    if abs(same - theirs["bits_per_character"]) > 1e-3:
        sys.exit(f"compare_charlm.py: the peer is another model: {theirs['bits_per_character']} bits per character, ours {same}")
    mine = min(mine, again, key=lambda r: r["seconds"])
    ratio = min(theirs["seconds"]) / mine["seconds"]
    print(f"a step at 2,048: {mine['seconds']:.2f} s, dense {min(theirs['seconds']):.2f} s ({best}): {ratio:.1f} times; "
          f"memory {mine['peak_bytes'] / 1e9:.2f} and {theirs['peak_mb'] * 2**20 / 1e9:.2f} GB", flush=True)
    return {"ours": mine, "peer": theirs, "ways": {w: min(r["seconds"]) for w, r in ways.items()}, "ratio": ratio, "bits": [same, theirs["bits_per_character"]]}


def memory(ours, peer, a):
    found = {}
    for layers, more in ((2, []), (12, ["--checkpointing"])):
        mine = ours.step(8192, steps=1, layers=layers)
        # --runs 0: the one step that is needed.
        theirs = peer.measure("dense_charlm.py", BEST, peer.inside(mine["folder"]), peer.inside(ours.data), 8192, "--runs", 0, *more)[0]
        ratio = theirs["peak_mb"] * 2**20 / mine["peak_bytes"]
        print(f"memory at 8,192, {layers} layers: {mine['peak_bytes'] / 1e9:.2f} GB, dense{' with layers run again' if more else ''} "
              f"{theirs['peak_mb'] * 2**20 / 1e9:.2f} GB: {ratio:.1f} times", flush=True)
        found[str(layers)] = {"ours": mine, "peer": theirs, "ratio": ratio}
    return found


def long(ours, peer, a):
    found = {}
    for recompute in (True, False) if a.plain else (True,):
        short, whole = ours.step(2048, steps=4, recompute=recompute), ours.step(32256, steps=2, recompute=recompute)
        ratio = whole["seconds"] / 32256 / (short["seconds"] / 2048)
        print(f"32,256 characters{', layers run again' if recompute else ''}: {whole['seconds']:.1f} s, {whole['peak_bytes'] / 1e9:.2f} GB; "
              f"time per character over that of 2,048: {ratio:.2f}", flush=True)
        found["recompute" if recompute else "plain"] = {"short": short, "long": whole, "ratio": ratio}
    return found


def attention(ours, peer, a):
    values = peer.environment(BEST)
    command = [HERE.parent / "tools" / "in-root.sh", a.root, "env", f"LIBTORCH=", *(f"{k}={v}" for k, v in values.items()),
               f"PYTHONPATH={HERE.parent / 'bindings' / 'python'}", "python3", HERE / "peers" / "relative_attention.py", "--threads", a.threads]
    found = json.loads(run(command).splitlines()[-1])
    for row in found["rows"]:
        row["ratio"] = row["relative"] / row["plain"]
        print(f"attention, window {row['window']}: {row['plain'] * 1e3:.1f} ms, relative {row['relative'] * 1e3:.1f} ms: {row['ratio']:.2f}", flush=True)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, help="root folder with PyTorch 2.x")
    parser.add_argument("--what", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--plain", action="store_true", help="long: also with every layer's states kept, some 20 GB")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--output", type=pathlib.Path, default=HERE / "results")
    a = parser.parse_args()

    peer = Peer(a.root, a.threads)
    a.output.mkdir(parents=True, exist_ok=True)
    file = a.output / "charlm.json"
    try:
        ours = Ours(peer.folder, a.threads)
        for part in a.what:
            found = globals()[part](ours, peer, a)
            results = json.loads(file.read_text()) if file.exists() else {}
            results |= {"machine": cpu_name(), "threads": a.threads, part: found}
            file.write_text(json.dumps(results, indent=1).replace(str(peer.folder) + "/", "") + "\n")
    finally:
        peer.close()


if __name__ == "__main__":
    main()
