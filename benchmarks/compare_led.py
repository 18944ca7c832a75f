#!/usr/bin/env python3
"""compare_led.py --root DIR [options]: this project's LED and HF's on the same weights, in one run, on this machine.

Encodes a document of TOKENS and generates exactly NEW tokens with beam search, base size, seeded random weights; HF as installed and at its
best. DIR is a Debian
root folder as for compare.py. Writes led-DTYPE.json and led-DTYPE.md into benchmarks/results (or --output). Needs nothing but Python's own library.
"""
import argparse
import json
import os
import pathlib

from peer import HERE, INSTALLED, LONGFORMER, Peer, cpu_name, run


def ours(model, tokens, new, a):
    out = run([LONGFORMER, "bench", model, "--tokens", tokens, "--generate", new, "--beams", a.beams,
               "--dtype", a.dtype, "--threads", a.threads, "--runs", a.runs, "--json"])
    return json.loads(out)["results"][0]


def table(results):
    best = min(results["ours"], key=lambda r: r["seconds"])
    hf, installed = results["hf"][0], results["hf_installed"][0]

    def both(key, digits):
        own = best[key]
        return [cell for theirs in (min(hf[key]), min(installed[key]))
                for cell in (f"{theirs:.{digits}f} s", f"**{theirs / own:.1f} times**" if key == "seconds" else f"{theirs / own:.1f} times")]

    rows = [
        ("whole", f"{best['seconds']:.2f} s", *both("seconds", 1)),
        ("encoder (ours: until the first token)", f"{best['encode_seconds']:.2f} s", *both("encode_seconds", 1)),
        ("peak memory", f"{best['peak_bytes'] / 2**20:,.0f} MiB", *(cell for theirs in (hf, installed)
                                                                  for cell in (f"{theirs['peak_mb']:,.0f} MiB", f"{best['peak_bytes'] / 2**20 / theirs['peak_mb']:.2f} of HF's"))),
        ("a decode step", f"{best['step_seconds'] * 1e3:.1f} ms, {best['step_bytes'] / best['step_seconds'] * 1e-9:.1f} GB/s read, {best['fraction_of_copy']:.0%} of a copy's rate", "", "", "", ""),
        (f"{results['long']['tokens']:,} tokens, {results['long']['new_tokens']} new", f"{results['long']['seconds']:.1f} s, peak {results['long']['peak_bytes'] / 2**20:,.0f} MiB", "", "", "", ""),
    ]
    return "\n".join(["| | this project | HF at its best | | HF as installed | |", "|---|---:|---:|---:|---:|---:|", *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, help="root folder with PyTorch 2.x and HF transformers")
    parser.add_argument("--tokens", type=int, default=8192)
    parser.add_argument("--new", type=int, default=128)
    parser.add_argument("--beams", type=int, default=4)
    parser.add_argument("--long", type=int, default=16384, help="a length that only this project runs")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--output", type=pathlib.Path, default=HERE / "results")
    a = parser.parse_args()

    peer = Peer(a.root, a.threads)
    try:
        model = peer.folder / "led"
        run([LONGFORMER, "random", model, "--size", "led-base", "--seed", "1"])
        inside = peer.inside(model)
        before = ours(model, a.tokens, a.new, a)
        common = ["--beams", a.beams, "--dtype", a.dtype]
        hf, trials = peer.best("hf_led.py", inside, a.tokens, "--new", a.new, *common, "--runs", a.runs,
                               trial=[inside, a.tokens // 4, "--new", a.new // 8, *common, "--runs", 1])
        installed = peer.measure("hf_led.py", INSTALLED, inside, a.tokens, "--new", a.new, *common, "--runs", 1)
        after = ours(model, a.tokens, a.new, a)
        results = {"machine": cpu_name(), "threads": a.threads, "hf_trials": trials, "ours": [before, after], "hf": hf,
                   "hf_installed": installed, "long": ours(model, a.long, a.new // 4, a)}
    finally:
        peer.close()

    a.output.mkdir(parents=True, exist_ok=True)
    (a.output / f"led-{a.dtype}.json").write_text(json.dumps(results, indent=1) + "\n")
    text = f"{results['machine']}, {a.dtype}, {a.threads} threads, LED base, window 1,024, {a.tokens:,} tokens in, {a.new} out, {a.beams} beams, " \
           f"HF's fastest setting: {hf[0]['setting']}\n\n" + table(results)
    (a.output / f"led-{a.dtype}.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
