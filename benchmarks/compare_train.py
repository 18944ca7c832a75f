#!/usr/bin/env python3
"""compare_train.py --root DIR [options]: steps of training by this project and by HF, on the same weights, in turn, on this machine.

Base size, seeded random weights, masked LM of 4,096 tokens (15% of them labelled), batch 1, AdamW, dropouts on; LED base with --led. HF runs as
installed and at its best (OpenBLAS with OpenMP, kernels for AVX-512, big blocks kept by malloc). DIR is a Debian root folder as for compare.py.
Writes train.json and train.md into benchmarks/results (or --output). Needs nothing but Python's own library.
"""
import argparse
import json
import os
import pathlib

from peer import BEST, HERE, INSTALLED, LONGFORMER, Peer, cpu_name, run

PACKED = "300,512,700,1000,1500,2048,3000,4096"


def ours(model, a, *options, runs=None):
    out = run([LONGFORMER, "bench", model, "--train", "--threads", a.threads, "--runs", runs or a.runs, "--json", *options])
    return json.loads(out)["results"][0]


def better(first, second):
    return min(first, second, key=lambda r: r["seconds"])


def row(case):
    mine = case["ours"]
    cells = [case["name"], f"{mine['seconds']:.2f} s", f"{mine['fraction_of_peak']:.0%}" if "fraction_of_peak" in mine else "", f"{mine['peak_bytes'] / 1e9:.2f} GB"]
    for key in ("hf", "hf_installed"):
        theirs = case.get(key)
        if theirs:
            hf = min(theirs["seconds"])
            cells += [f"{hf:.1f} s", f"{theirs['peak_mb'] * 2**20 / 1e9:.1f} GB", f"**{hf / mine['seconds']:.1f}**"]
        else:
            cells += [""] * 3
    return "| " + " | ".join(cells) + " |"


def table(results):
    lines = ["| step | this project | of the peak | peak memory | HF at its best | its memory | HF / ours | HF as installed | its memory | as installed / ours |",
             "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|"]
    return "\n".join(lines + [row(case) for case in results["cases"]]) + "\n"


def stages(result):
    return ", ".join(f"{s['name']} {s['share']:.1%}" for s in result["stages"] if s["share"] >= 0.01)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, help="root folder with PyTorch 2.x and HF transformers")
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--led", type=int, help="also an LED of base size that learns to write so many tokens")
    parser.add_argument("--recompute", action="store_true", help="also with layers that run again")
    parser.add_argument("--installed", action="store_true", help="also HF as installed (slow)")
    parser.add_argument("--long", type=int, nargs="*", default=[], help="lengths that only this project runs")
    parser.add_argument("--packed", action="store_true", help="also eight documents of unequal length in one step")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--output", type=pathlib.Path, default=HERE / "results")
    a = parser.parse_args()

    peer = Peer(a.root, a.threads)
    cases = []
    try:
        model, led = peer.folder / "base", peer.folder / "led"
        run([LONGFORMER, "random", model, "--size", "base", "--seed", "1", "--head", "masked-lm"])
        work = [(dtype, again, None) for dtype in a.dtypes for again in ([False, True] if a.recompute else [False])]
        if a.led:
            run([LONGFORMER, "random", led, "--size", "led-base", "--seed", "1"])
            work.append(("float32", False, a.led))
        for dtype, again, target in work:
            folder = led if target else model
            mine = ["--tokens", a.tokens, "--dtype", dtype, *(["--recompute"] if again else []), *(["--generate", target] if target else [])]
            theirs = [peer.inside(folder), dtype, a.tokens, "--runs", 1, *(["--checkpointing"] if again else []), *(["--target", target] if target else [])]
            before = ours(folder, a, *mine)
            hf = peer.measure("hf_train.py", BEST, *theirs)[0]
            name = f"{'LED, ' + str(target) + ' tokens out' if target else 'masked LM'}, {dtype}{', layers run again' if again else ''}"
            case = {"name": f"{name}, {a.tokens:,}", "ours": better(before, ours(folder, a, *mine)), "hf": hf}
            if a.installed and not again:
                case["hf_installed"] = peer.measure("hf_train.py", INSTALLED, *theirs)[0]
            cases.append(case)
            print(row(case), flush=True)
        for tokens in a.long:
            for again in [False, True]:
                cases.append({"name": f"masked LM, float32{', layers run again' if again else ''}, {tokens:,}",
                              "ours": ours(model, a, "--tokens", tokens, *(["--recompute"] if again else []), runs=1)})
                print(row(cases[-1]), flush=True)
        packed = ours(model, a, "--packed", PACKED, runs=1) if a.packed else None
    finally:
        peer.close()

    results = {"machine": cpu_name(), "threads": a.threads, "cases": cases, "packed": packed}
    a.output.mkdir(parents=True, exist_ok=True)
    (a.output / "train.json").write_text(json.dumps(results, indent=1) + "\n")
    text = f"{results['machine']}, {a.threads} threads, base size, batch 1, AdamW\n\n" + table(results)
    if packed:
        text += f"\nEight documents of 300 to 4,096 tokens in a step: {packed['seconds']:.2f} s, {packed['seconds'] / packed['seconds_apart']:.1%} of a step for each\n"
    text += "".join(f"\n{c['name']}: {stages(c['ours'])}\n" for c in cases)
    (a.output / "train.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
