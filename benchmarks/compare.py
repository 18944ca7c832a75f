#!/usr/bin/env python3
"""compare.py --root DIR [options]: this project and its peers on the same weights, in one run, on this machine.

DIR is a Debian root folder with PyTorch 2.x and HF transformers (benchmarks/README.md says how to make one); running in it needs
root. Writes results.json, table.md and time.svg into benchmarks/results (or --output). Needs nothing but Python's own library.
"""
import argparse
import json
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import tempfile

import plot

HERE = pathlib.Path(__file__).resolve().parent
LONGFORMER = HERE.parent / "longformer"

# What makes a difference for HF on a CPU: which BLAS ATen's products go to, and whether its threads fight OpenMP's.
HF_SETTINGS = {
    "as installed": {},
    "OpenBLAS with OpenMP": {"LD_PRELOAD": "openblas-openmp/libblas.so.3"},
    "OpenBLAS with OpenMP, SkylakeX kernels": {"LD_PRELOAD": "openblas-openmp/libblas.so.3", "OPENBLAS_CORETYPE": "SKYLAKEX"},
    "OpenBLAS threads, SkylakeX kernels": {"OPENBLAS_CORETYPE": "SKYLAKEX"},
    "BLIS with OpenMP": {"LD_PRELOAD": "blis-openmp/libblas.so.3"},
}


def run(command, **options):
    """Standard output of a command; its standard error is shown where it fails."""
    done = subprocess.run(command, capture_output=True, text=True, **options)
    if done.returncode:
        sys.exit(f"compare: {' '.join(map(str, command))} failed with {done.returncode}:\n{done.stderr[-2000:]}")
    return done.stdout


class Peer:
    """HF transformers inside a root folder."""

    def __init__(self, root, threads):
        self.root, self.threads = pathlib.Path(root).resolve(), threads
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="longformer-compare-", dir=self.root / "tmp"))
        for script in (HERE / "peers").glob("*.py"):
            shutil.copy(script, self.folder)

    def inside(self, path):
        return "/" + str(pathlib.Path(path).resolve().relative_to(self.root))

    def environment(self, setting):
        values = dict(HF_SETTINGS[setting], OMP_NUM_THREADS=str(self.threads))
        if "LD_PRELOAD" in values:
            found = sorted((self.root / "usr/lib").glob("*/" + values["LD_PRELOAD"]))
            if not found:
                return None  # this BLAS is not installed there
            values["LD_PRELOAD"] = self.inside(found[0])
        return values

    def measure(self, script, setting, *arguments):
        values = self.environment(setting)
        if values is None:
            return None
        command = ["chroot", self.root, "env", "HOME=/root", *(f"{k}={v}" for k, v in values.items()),
                   "python3", self.inside(self.folder / script), *map(str, arguments), "--threads", str(self.threads)]
        lines = [json.loads(line) for line in run(command).splitlines() if line.startswith("{")]
        for line in lines:
            line["setting"] = setting
        return lines

    def best(self, script, *arguments, trial):
        """The measurement under the setting that a short trial found to be the fastest, and what the trials gave."""
        trials = {}
        for setting in HF_SETTINGS:
            lines = self.measure(script, setting, *trial)
            if lines:
                trials[setting] = min(lines[-1]["seconds"])
                print(f"  HF, {setting}: {trials[setting]:.3f} s", flush=True)
        return self.measure(script, min(trials, key=trials.get), *arguments), trials

    def close(self):
        shutil.rmtree(self.folder)


def ours(model, lengths, *options):
    out = run([LONGFORMER, "bench", model, "--tokens", ",".join(map(str, lengths)), "--json", *map(str, options)])
    return json.loads(out)["results"]


def openvino(script, dtype):
    out = run([script, {"float32": "f32", "bfloat16": "bf16"}[dtype]]).split()
    return {"tokens": 4096, "dtype": dtype, "seconds": float(out[0]), "peak_mb": float(out[3])}


def cpu_name():
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        fields = dict(line.split(":", 1) for line in info.read().split("\n\n")[0].splitlines() if ":" in line)
    fields = {key.strip(): value.strip() for key, value in fields.items()}
    flags = [f for f in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if f in fields.get("flags", "").split()]
    return f"{fields.get('model name', platform.processor())}, {os.cpu_count()} cores, {' '.join(flags)}"


def best_of(*measurements):
    """Our runs before and after the peers', the faster of each length: the machine may be shared."""
    merged = {}
    for result in (r for m in measurements for r in m):
        key = (result["tokens"], result["dtype"])
        if key not in merged or result["seconds"] < merged[key]["seconds"]:
            merged[key] = result
    return list(merged.values())


def table(results):
    hf = {r["tokens"]: r for r in results["hf"]}
    ov = {r["tokens"]: r for r in results["openvino"]}
    lines = ["| tokens | this project | of the machine's peak | peak memory | HF transformers | its memory | HF / ours | OpenVINO / ours |",
             "|---:|---:|---:|---:|---:|---:|---:|---:|"]
    for r in sorted(results["ours"], key=lambda r: r["tokens"]):
        h, o = hf.get(r["tokens"]), ov.get(r["tokens"])
        lines.append(" | ".join([
            f"| {r['tokens']:,}", f"{r['seconds']:.3f} s", f"{r['fraction_of_peak']:.0%}", f"{r['peak_bytes'] / 2**20:,.0f} MiB",
            f"{min(h['seconds']):.3f} s" if h else "", f"{h['peak_mb']:,.0f} MiB" if h else "",
            f"**{min(h['seconds']) / r['seconds']:.1f}**" if h else "", f"**{o['seconds'] / r['seconds']:.1f}** |" if o else " |"]))
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
        peers = [openvino(a.openvino, a.dtype)] if a.openvino else []
        after = ours(model, a.lengths, *options)
        longer = ours(model, a.long, "--dtype", a.dtype, "--threads", a.threads, "--runs", 1) if a.long else []
        results = {"machine": cpu_name(), "threads": a.threads, "dtype": a.dtype, "hf_trials_2048": trials,
                   "ours": best_of(before, after, longer), "hf": hf, "openvino": peers}
    finally:
        peer.close()

    a.output.mkdir(parents=True, exist_ok=True)
    (a.output / f"{a.dtype}.json").write_text(json.dumps(results, indent=1) + "\n")
    (a.output / f"{a.dtype}.md").write_text(f"{results['machine']}, {a.dtype}, {a.threads} threads, base size, window 512, batch 1\n\n" + table(results))
    curves = {"this project": [(r["tokens"], r["seconds"]) for r in results["ours"]],
              f"HF transformers ({hf[0]['setting']})": [(r["tokens"], min(r["seconds"])) for r in hf],
              "OpenVINO (one fixed length)": [(r["tokens"], r["seconds"]) for r in peers]}
    (a.output / f"{a.dtype}.svg").write_text(plot.time_by_length(curves, f"Longformer base, {a.dtype}, {a.threads} CPU cores"))
    print(table(results))


if __name__ == "__main__":
    main()
