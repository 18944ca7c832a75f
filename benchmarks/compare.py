#!/usr/bin/env python3
"""compare.py --root DIR [options]: this project and its peers on the same weights, in one run, on this machine.

DIR is a Debian root folder with PyTorch 2.x and HF transformers (benchmarks/README.md says how to make one); running in it needs
root. Writes results.json, table.md and time.svg into benchmarks/results (or --output). Needs nothing but Python's own library.
"""
import argparse
import json
import os
import pathlib

import plot
from peer import HERE, INSTALLED, LONGFORMER, Peer, cpu_name, run


def ours(model, lengths, *options):
    out = run([LONGFORMER, "bench", model, "--tokens", ",".join(map(str, lengths)), "--json", *options])
    return json.loads(out)["results"]


def openvino(script, dtype):
    out = run([script, {"float32": "f32", "bfloat16": "bf16"}[dtype]]).split()
    return {"tokens": 4096, "dtype": dtype, "seconds": float(out[0]), "peak_mb": float(out[3])}


def best_of(*measurements):
    """Our runs before and after the peers', the faster of each length: the machine may be shared."""
    merged = {}
    for result in (r for m in measurements for r in m):
        key = (result["tokens"], result["dtype"])
        if key not in merged or result["seconds"] < merged[key]["seconds"]:
            merged[key] = result
    return list(merged.values())


PACKED = [300, 512, 700, 1000, 1500, 2048, 3000, 4096]


def stage(result, name):
    return result["seconds"] * next(s["share"] for s in result["stages"] if s["name"] == name)


def ratios(results):
    """Measures cases beside the lengths: narrow windows, documents of unequal lengths, the longest text."""
    windows, packed = {r["window"]: r for r in results["windows"]}, results["packed"]
    lines = [f"Window 128 against 512, the attention: {stage(windows[512], 'window attention') / stage(windows[128], 'window attention'):.2f} times faster. ",
             f"{len(PACKED)} documents of {PACKED[0]} to {PACKED[-1]:,} tokens in one pass: {packed['seconds'] / packed['seconds_apart']:.1%} of one after the other. "]
    by_length = {r["tokens"]: r["seconds"] / r["tokens"] for r in results["ours"]}
    if 4096 in by_length and max(by_length) > 4096:
        lines.append(f"A token of {max(by_length):,} costs {by_length[max(by_length)] / by_length[4096]:.2f} of one of 4,096. ")
    return "".join(lines).strip() + "\n"


def table(results):
    """HF twice: at its best (the fastest setting that was found) and as installed."""
    hf, installed, ov = ({r["tokens"]: r for r in results.get(name, [])} for name in ("hf", "hf_installed", "openvino"))
    lines = ["| tokens | this project | of the machine's peak | peak memory | HF at its best | its memory | HF at its best / ours | HF as installed | as installed / ours | OpenVINO / ours |",
             "|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"]
    for r in sorted(results["ours"], key=lambda r: r["tokens"]):
        h, i, o = (found.get(r["tokens"]) for found in (hf, installed, ov))
        lines.append(" | ".join([
            f"| {r['tokens']:,}", f"{r['seconds']:.3f} s", f"{r['fraction_of_peak']:.0%}", f"{r['peak_bytes'] / 2**20:,.0f} MiB",
            f"{min(h['seconds']):.3f} s" if h else "", f"{h['peak_mb']:,.0f} MiB" if h else "", f"**{min(h['seconds']) / r['seconds']:.1f}**" if h else "",
            f"{min(i['seconds']):.3f} s" if i else "", f"{min(i['seconds']) / r['seconds']:.1f}" if i else "", f"**{o['seconds'] / r['seconds']:.1f}** |" if o else " |"]))
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, help="root folder with PyTorch 2.x and HF transformers")
    parser.add_argument("--openvino", help="a script that prints OpenVINO's time for 4,096 tokens: '1.234 s, peak 567 MB'")
    parser.add_argument("--lengths", type=int, nargs="+", default=[64, 512, 1024, 2048, 4096])
    parser.add_argument("--long", type=int, nargs="*", default=[16384, 65536, 131072], help="lengths that only this project runs")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--output", type=pathlib.Path, default=HERE / "results")
    a = parser.parse_args()

    peer = Peer(a.root, a.threads)
    try:
        model = peer.folder / "base"
        run([LONGFORMER, "random", model, "--size", "base", "--seed", "1"])
        options = ["--dtype", a.dtype, "--threads", a.threads, "--runs", a.runs]
        before = ours(model, a.lengths, *options)
        hf, trials = peer.best("hf_longformer.py", peer.inside(model), a.dtype, *a.lengths, "--runs", a.runs,
                               trial=[peer.inside(model), a.dtype, 2048, "--runs", 1])
        installed = peer.measure("hf_longformer.py", INSTALLED, peer.inside(model), a.dtype, *a.lengths, "--runs", 1)
        peers = [openvino(a.openvino, a.dtype)] if a.openvino else []
        after = ours(model, a.lengths, *options)
        longer = ours(model, a.long, "--dtype", a.dtype, "--threads", a.threads, "--runs", 1) if a.long else []
        results = {"machine": cpu_name(), "threads": a.threads, "dtype": a.dtype, "hf_trials_2048": trials,
                   "ours": best_of(before, after, longer), "hf": hf, "hf_installed": installed, "openvino": peers,
                   "windows": ours(model, [4096], "--window", "128,512", *options),
                   "packed": ours(model, [4096], "--packed", ",".join(map(str, PACKED)), *options)[0]}
    finally:
        peer.close()

    a.output.mkdir(parents=True, exist_ok=True)
    (a.output / f"{a.dtype}.json").write_text(json.dumps(results, indent=1) + "\n")
    (a.output / f"{a.dtype}.md").write_text(f"{results['machine']}, {a.dtype}, {a.threads} threads, base size, window 512, batch 1, HF's fastest setting: {hf[0]['setting']}\n\n" + table(results) + "\n" + ratios(results))
    curves = {"this project": [(r["tokens"], r["seconds"]) for r in results["ours"]],
              f"HF transformers ({hf[0]['setting']})": [(r["tokens"], min(r["seconds"])) for r in hf],
              "HF transformers (as installed)": [(r["tokens"], min(r["seconds"])) for r in installed],
              "OpenVINO (one fixed length)": [(r["tokens"], r["seconds"]) for r in peers]}
    (a.output / f"{a.dtype}.svg").write_text(plot.time_by_length(curves, f"Longformer base, {a.dtype}, {a.threads} CPU cores"))
    print(table(results) + ratios(results))


if __name__ == "__main__":
    main()
