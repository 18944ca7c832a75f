"""Shared by the comparisons: a peer inside a root folder under several settings, and this machine's name."""
import json
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
LONGFORMER = HERE.parent / "longformer"

# Differences for HF on a CPU: which BLAS ATen's products use, whether its threads fight OpenMP's, and the memory:
# glibc gives big blocks back to the system at each release, and on a virtual machine the page faults then take much of the time.
KEPT = {"GLIBC_TUNABLES": "glibc.malloc.mmap_threshold=4294967296:glibc.malloc.trim_threshold=17179869184"}
BEST = "OpenBLAS with OpenMP, SkylakeX kernels, blocks kept"
INSTALLED = "as installed"
# Tried on top of the fastest of the settings, where the root folder has a C++ compiler.
COMPILED = ", torch.compile"
HF_SETTINGS = {
    INSTALLED: {},
    "as installed, blocks kept": KEPT,
    BEST: {"LD_PRELOAD": "openblas-openmp/libblas.so.3", "OPENBLAS_CORETYPE": "SKYLAKEX", **KEPT},
    "OpenBLAS with OpenMP": {"LD_PRELOAD": "openblas-openmp/libblas.so.3"},
    "OpenBLAS with OpenMP, SkylakeX kernels": {"LD_PRELOAD": "openblas-openmp/libblas.so.3", "OPENBLAS_CORETYPE": "SKYLAKEX"},
    "OpenBLAS threads, SkylakeX kernels": {"OPENBLAS_CORETYPE": "SKYLAKEX"},
    "BLIS with OpenMP": {"LD_PRELOAD": "blis-openmp/libblas.so.3"},
}


def run(command, must_run=True):
    """Standard output of a command; where it fails its standard error is shown, or None returned if it may."""
    command = [str(word) for word in command]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode and not must_run:
        print(f"  {done.stderr.strip().splitlines()[-1:] or done.returncode}", file=sys.stderr)
        return None
    if done.returncode:
        sys.exit(f"{pathlib.Path(sys.argv[0]).name}: {' '.join(command)} failed with {done.returncode}:\n{done.stderr[-2000:]}")
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
        values = dict(HF_SETTINGS[setting.removesuffix(COMPILED)], OMP_NUM_THREADS=str(self.threads))
        if "LD_PRELOAD" in values:
            found = sorted((self.root / "usr/lib").glob("*/" + values["LD_PRELOAD"]))
            if not found:
                return None  # this BLAS is not installed there
            values["LD_PRELOAD"] = self.inside(found[0])
        return values

    def measure(self, script, setting, *arguments, must_run=True):
        """What the script prints under a setting; None where that BLAS is not installed, or, unless it must run, where it fails."""
        values = self.environment(setting)
        if values is None:
            return None
        command = ["chroot", self.root, "env", "HOME=/root", *(f"{k}={v}" for k, v in values.items()), "python3",
                   self.inside(self.folder / script), *arguments, *(["--compile"] if setting.endswith(COMPILED) else []), "--threads", self.threads]
        printed = run(command, must_run)
        if printed is None:
            return None
        lines = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
        for line in lines:
            line["setting"] = setting
        return lines

    def best(self, script, *arguments, trial):
        """The measurement under the setting that a short trial found to be the fastest, and what the trials gave."""
        trials = {}

        def attempt(setting, must_run=True):
            lines = self.measure(script, setting, *trial, must_run=must_run)
            if lines:
                trials[setting] = min(lines[-1]["seconds"])
            print(f"  HF, {setting}: " + (f"{trials[setting]:.3f} s" if lines else "not run"), flush=True)

        for setting in HF_SETTINGS:
            attempt(setting)
        if (self.root / "usr/bin/g++").exists():
            attempt(min(trials, key=trials.get) + COMPILED, must_run=False)
        return self.measure(script, min(trials, key=trials.get), *arguments), trials

    def close(self):
        shutil.rmtree(self.folder)


def cpu_name():
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        fields = dict(line.split(":", 1) for line in info.read().split("\n\n")[0].splitlines() if ":" in line)
    fields = {key.strip(): value.strip() for key, value in fields.items()}
    flags = [f for f in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if f in fields.get("flags", "").split()]
    return f"{fields.get('model name', platform.processor())}, {os.cpu_count()} cores, {' '.join(flags)}"
