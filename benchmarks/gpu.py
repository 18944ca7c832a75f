#!/usr/bin/env python3
"""gpu.py --longformer PROGRAM --device cuda:0 --output DIR --work DIR: checks and measures this project on a GPU, beside HF transformers.

Called by gpu.sh, which finds the libraries first. A step that fails is a row of the table and the next one runs; a step that
would begin after --seconds is left out and said so. Needs nothing but Python's own library; the peers need PyTorch and transformers.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
GOLDENS = HERE.parent / "parity-tests" / "goldens"

# The cases: tokens and batch of the large case, the latency's tokens, the long document, and LED's document, beams, new tokens.
SIZES = {
    "base": {"model": "base", "led": "led-base", "tokens": 4096, "batch": 8, "short": 512, "long": 131072, "led_tokens": 16384, "beams": 4, "new": 256, "runs": 7},
    "tiny": {"model": "tiny", "led": "led-tiny", "tokens": 256, "batch": 2, "short": 64, "long": 2048, "led_tokens": 512, "beams": 2, "new": 8, "runs": 2},
}


class StepFailed(Exception):
    pass


class Bench:
    def __init__(self, a):
        self.a, self.size = a, SIZES[a.size]
        self.began = time.monotonic()
        self.rows, self.results = [], {"device": a.device, "size": a.size}
        self.model, self.led = a.work / "model", a.work / "led"

    # --- running

    def run(self, command, name, ok=(0,)):
        """Returns the standard output of a command, and writes both of its outputs to a log."""
        left = self.a.seconds + 30 - (time.monotonic() - self.began)
        try:
            done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=max(left, 5))
        except subprocess.TimeoutExpired:
            raise StepFailed("ran out of time") from None
        # One file for all: the borrowed machines return few.
        with open(self.a.output / "gpu.log", "a", encoding="utf-8") as log:
            log.write(f"==== {name}\n$ {' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
        if done.returncode not in ok:
            lines = (done.stderr or done.stdout).strip().splitlines() or [f"status {done.returncode}"]
            raise StepFailed(lines[-1][:300])
        return done.stdout

    def ours(self, name, *words, ok=(0,)):
        return self.run([self.a.longformer, *words, "--device", self.a.device], name, ok)

    def bench(self, name, *words):
        # Its own process each, so that memory is that of the case.
        results = json.loads(self.ours(name, "bench", *words, "--runs", self.size["runs"], "--json"))["results"]
        self.results.setdefault("ours", {})[name] = results
        return results

    def peer(self, name, script, *words):
        out = self.run([sys.executable, HERE / "peers" / script, *words, "--device", self.a.device, "--threads", os.cpu_count()], "hf_" + name)
        lines = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
        self.results.setdefault("hf", {})[name] = lines
        return lines

    def row(self, what, value, goal="", reached=None):
        self.rows.append((what, value, goal, "" if reached is None else "yes" if reached else "**no**"))
        print(f"  {what}: {value}" + (f" (goal: {goal})" if goal else ""), flush=True)

    def step(self, what, work):
        if time.monotonic() - self.began > self.a.seconds:
            self.row(what, "left out: no time was left")
            return
        start = time.monotonic()
        try:
            work()
        except StepFailed as failure:
            self.row(what, f"failed: {failure}", reached=False)
        except (KeyError, IndexError, ValueError) as failure:
            self.row(what, f"failed: unexpected output ({type(failure).__name__}: {failure})", reached=False)
        self.results.setdefault("seconds", {})[what] = round(time.monotonic() - start, 1)

    # --- checks

    def parity(self, name, what, *words):
        report = json.loads(self.ours(name, "parity", *words, "--json", ok=(0, 1)))
        failed = [f"{r['case']} {r['tensor']}" for r in report["rows"] if r["outcome"] == "fail"]
        self.results.setdefault("parity", {})[name] = {"passed": report["passed"], "failed": report["failed"], "failures": failed[:50]}
        self.row(what, f"{report['passed']} passed, {report['failed']} failed" + (f", first {failed[0]}" if failed else ""), "none failed", not failed)
        return report["rows"]

    def checks(self):
        tiny = self.a.size == "tiny"
        self.step("operators", lambda: self.parity("operators", "operators on random inputs, all dtypes, fused", "--operators", "--attention", "fused"))
        self.step("goldens", lambda: self.parity("goldens", "goldens, float32, TF32 off, fused", GOLDENS / "models" if tiny else GOLDENS))
        self.step("goldens, chunks", lambda: self.parity("goldens_chunks", "goldens of the attention, chunks", "--attention", "chunks", GOLDENS / "attention"))

    def errors(self):
        """The base-size model: float32 against HF's, and bfloat16's distance from it against that of HF's bfloat16."""
        case = self.a.work / "case"
        hf = self.peer("errors", "hf_longformer.py", self.model, "bfloat16", self.size["tokens"], "--runs", 1, "--case", case)[-1]

        def distance(dtype):
            rows = json.loads(self.ours(f"error_{dtype}", "parity", "--dtype", dtype, "--json", case, ok=(0, 1)))["rows"]
            row = next(r for r in rows if r["tensor"] == "last_hidden_state")
            if row.get("max_abs_difference") is None:
                raise StepFailed(row.get("note", "nothing was compared"))
            return row["max_abs_difference"]

        exact, half = distance("float32"), distance("bfloat16")
        self.results["errors"] = {"hf_bfloat16": hf["hf_error"], "ours_bfloat16": half, "ours_float32": exact, "largest": hf["largest"]}
        self.row(f"float32 against HF's, {self.size['tokens']:,} tokens", f"{exact:.1e} of {hf['largest']:.1f}", "at most 1e-3", exact <= 1e-3)
        self.row("bfloat16 error over that of HF's bfloat16", f"{half / hf['hf_error']:.2f} ({half:.2e}, {hf['hf_error']:.2e})", "at most 2", half <= 2 * hf["hf_error"])

    # --- speed

    def large(self):
        s = self.size
        ours = self.bench("large", self.model, "--tokens", s["tokens"], "--batch", s["batch"], "--dtype", "bfloat16")[0]
        hf = self.peer("large", "hf_longformer.py", self.model, "bfloat16", s["tokens"], "--batch", s["batch"], "--runs", s["runs"])[0]
        mine, theirs = ours["median_seconds"], statistics.median(hf["seconds"])
        what = f"bfloat16, {s['tokens']:,} tokens, batch {s['batch']}"
        self.row(f"{what}: HF's time / ours", f"{theirs / mine:.1f} ({theirs * 1e3:.1f} ms, {mine * 1e3:.1f} ms)", "at least 6", theirs / mine >= 6)
        rate = ours["gflop"] / mine / ours["machine"]["matrix_product_gflop_per_second"]
        self.row("the whole forward, useful arithmetic over the measured matrix rate",
                 f"{rate:.0%} ({ours['gflop'] / mine / 1e3:.0f} of {ours['machine']['matrix_product_gflop_per_second'] / 1e3:.0f} TFLOP/s)", "at least 50%", rate >= 0.5)
        self.row("device memory of it, ours and HF's", f"{ours.get('device_bytes', 0) / 2**20:,.0f} MiB, {hf['device_mb']:,.0f} MiB")
        stages = ", ".join(f"{stage['name']} {stage['share']:.0%}" for stage in ours["stages"] if stage["share"] >= 0.03)
        self.row("its time by stage (calls one by one, each waited for)", stages)

    def kernel(self):
        s = self.size
        wide, narrow = (self.bench(f"kernel_{w}", "--kernel", "--tokens", s["tokens"], "--batch", s["batch"], "--window", w, "--dtype", "bfloat16")[0] for w in (512, 128))
        forward, backward = wide["forward_flop_per_second"] * 1e-12, wide["backward_flop_per_second"] * 1e-12
        self.row("attention kernel forward, window 512, head dimension 64", f"{forward:.1f} TFLOP/s", "at least 300", forward >= 300)
        self.row("attention kernel backward", f"{backward:.1f} TFLOP/s", "at least 200", backward >= 200)
        self.row("attention kernel forward, window 512's time over 128's", f"{wide['forward_seconds'] / narrow['forward_seconds']:.1f}", "about 4")

    def latency(self):
        tokens = self.size["short"]
        mine = self.bench("latency", self.model, "--tokens", tokens, "--batch", 1, "--dtype", "bfloat16")[0]["median_seconds"] * 1e3
        hf = self.peer("latency", "hf_longformer.py", self.model, "bfloat16", tokens, "--runs", self.size["runs"])[0]
        self.row(f"batch 1, {tokens} tokens, latency", f"{mine:.2f} ms (HF {statistics.median(hf['seconds']) * 1e3:.2f} ms)", "at most 1.5 ms", mine <= 1.5)

    def long(self):
        s = self.size
        short, long = (self.bench(f"tokens_{n}", self.model, "--tokens", n, "--batch", 1, "--dtype", "bfloat16")[0] for n in (s["tokens"], s["long"]))
        ratio = long["median_seconds"] / s["long"] / (short["median_seconds"] / s["tokens"])
        self.row(f"{s['long']:,} tokens, time per token over that of {s['tokens']:,}", f"{ratio:.2f} ({long['median_seconds'] * 1e3:.1f} ms)", "at most 1.1", ratio <= 1.1)
        taken = [r.get("device_bytes", 0) - r["weight_bytes"] / 2 for r in (short, long)]
        if taken[0] > 0:
            self.row("its memory beyond the weights, per token, over that of the shorter", f"{taken[1] / s['long'] / (taken[0] / s['tokens']):.2f}", "about 1")

    def generation(self):
        s = self.size
        words = [self.led, "--tokens", s["led_tokens"], "--generate", s["new"], "--beams", s["beams"], "--dtype", "bfloat16"]
        ours = json.loads(self.ours("led", "bench", *words, "--runs", 2, "--json"))["results"][0]
        hf = self.peer("led", "hf_led.py", self.led, s["led_tokens"], "--new", s["new"], "--beams", s["beams"], "--dtype", "bfloat16", "--runs", 1)[0]
        self.results["led"] = {"ours": ours, "hf": hf}
        mine, theirs = ours["median_seconds"], statistics.median(hf["seconds"])
        self.row(f"LED, {s['led_tokens']:,} tokens, beam {s['beams']}, {s['new']} new: HF's time / ours", f"{theirs / mine:.1f} ({theirs:.2f} s, {mine:.2f} s)", "at least 8", theirs / mine >= 8)
        self.row("its decode step", f"{ours['step_seconds'] * 1e3:.2f} ms")

    # --- all

    def machine(self):
        code = ("import json, sys, torch; d = sys.argv[1]; "
                "print(json.dumps({'torch': torch.__version__, 'gpu': torch.cuda.get_device_name(d) if d != 'cpu' else 'cpu'}))")
        return json.loads(self.run([sys.executable, "-c", code, self.a.device], "machine"))

    def all(self):
        self.results["machine"] = self.machine()
        for folder, size in ((self.model, self.size["model"]), (self.led, self.size["led"])):
            if not folder.exists():
                self.run([self.a.longformer, "random", folder, "--size", size, "--seed", 1], f"random_{size}")
        # The most important comes first.
        self.step("speed", self.large)
        self.step("attention kernel", self.kernel)
        self.step("latency", self.latency)
        self.checks()
        self.step("errors", self.errors)
        self.step("long document", self.long)
        self.step("generation", self.generation)
        self.write()

    def write(self):
        machine = self.results["machine"]
        lines = [f"{machine['gpu']}, PyTorch {machine['torch']}, {self.size['model']} size, window 512, one global token, medians of {self.size['runs']} runs.", "",
                 "| what | measured | goal | reached |", "|---|---|---|---|", *(f"| {' | '.join(row)} |" for row in self.rows)]
        self.results["rows"] = [dict(zip(("what", "measured", "goal", "reached"), row)) for row in self.rows]
        (self.a.output / "gpu.md").write_text("\n".join(lines) + "\n")
        (self.a.output / "gpu.json").write_text(json.dumps(self.results, indent=1) + "\n")
        print("\n" + "\n".join(lines))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--longformer", required=True, type=pathlib.Path)
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--size", default="base", choices=SIZES)
    parser.add_argument("--output", required=True, type=pathlib.Path)
    parser.add_argument("--work", required=True, type=pathlib.Path, help="a folder for checkpoints, some GB")
    parser.add_argument("--seconds", type=float, default=480, help="no step begins later than this")
    a = parser.parse_args()
    a.longformer = a.longformer.resolve()
    for folder in (a.output, a.work):
        folder.mkdir(parents=True, exist_ok=True)
    Bench(a).all()


if __name__ == "__main__":
    main()
