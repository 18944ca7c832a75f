"""Forked children of a process that had loaded the library: every call is refused with one error, and they end as they would without it."""
from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

BEGIN = """
import gc, multiprocessing, os, sys, warnings
warnings.simplefilter("ignore")
sys.path.insert(0, {root!r})
import numpy as np
import {backend} as lf

def outcome(call):
    try:
        call()
    except lf.LongformerError as e:
        return "refused" if "spawn" in str(e) and "forkserver" in str(e) else str(e)
    return "done"

def wait(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
"""

LOAD = """
encoder = lf.DocumentEncoder.load({encoder!r})
tokenizer = encoder.tokenizer
vectors = encoder.encode(["one"])
x = np.ones((1, 4, 2, 2), np.float32)
attended = lf.banded_attention(x, x, x, 1)
"""

CALLS = """
calls = [
    lambda: encoder.encode(["one"]), lambda: tokenizer.encode("one"), lambda: tokenizer.token_to_id("one"), lambda: lf.get_threads(),
    lambda: lf.banded_attention(x, x, x, 1), lambda: lf.DocumentEncoder.load({encoder!r}), lambda: lf.torch_version(),
]
"""


def run(lf, models, code: str, seconds: float = 60) -> str:
    text = (BEGIN + code).format(root=str(ROOT), backend=lf.__name__, encoder=str(models / "encoder"))
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=seconds)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


def test_every_call_is_refused_and_the_parent_continues(lf, models):
    code = LOAD + CALLS + """
pid = os.fork()
if pid == 0:
    print(*[outcome(c) for c in calls], float(attended.sum()), flush=True)
    os._exit(0)
print(wait(pid), outcome(calls[0]), np.array_equal(encoder.encode(["one"]), vectors))
"""
    assert run(lf, models, code) == "refused " * 7 + "16.0\n0 done True\n"


def test_a_child_ends_normally_with_everything_freed(lf, models):
    code = LOAD + """
import atexit
pid = os.fork()
if pid == 0:
    atexit.register(lambda: print("at exit", flush=True))
    encoder.close()
    del encoder, tokenizer, vectors, attended
    gc.collect()
    sys.exit(3)
print(wait(pid), encoder.encode(["one"]).shape)
"""
    assert run(lf, models, code) == "at exit\n3 (1, 64)\n"


def test_a_child_ends_normally_with_everything_in_hand(lf, models):
    code = LOAD + """
for leave in (sys.exit, os._exit):
    pid = os.fork()
    if pid == 0:
        leave(4)
    print(wait(pid))
"""
    # The text printed before the fork belongs to the parent alone.
    assert run(lf, models, code).splitlines()[-1] == "4"
    assert run(lf, models, code.replace("print(wait(pid))", "assert wait(pid) == 4")) == ""


def test_a_pool_of_forked_workers(lf, models):
    code = LOAD + """
def work(text):
    return outcome(lambda: encoder.encode([text]))

with multiprocessing.get_context("fork").Pool(2) as pool:
    print(pool.map(work, ["one", "two", "three"]))
    pool.close()
    pool.join()
process = multiprocessing.get_context("fork").Process(target=work, args=("one",))
process.start()
process.join(30)
print(process.exitcode, encoder.encode(["one"]).shape)
"""
    assert run(lf, models, code) == "['refused', 'refused', 'refused']\n0 (1, 64)\n"


def test_a_grandchild_is_refused_too(lf, models):
    code = LOAD + CALLS + """
pid = os.fork()
if pid == 0:
    inner = os.fork()
    if inner == 0:
        os._exit(0 if outcome(calls[0]) == "refused" else 1)
    sys.exit(wait(inner))
print(wait(pid))
"""
    assert run(lf, models, code) == "0\n"


def test_a_child_may_collect_its_garbage_often(lf, models):
    # Over pythonnet each collection called .NET, which the child does not survive for long.
    code = LOAD + """
pid = os.fork()
if pid == 0:
    for _ in range(200):
        gc.collect()
    sys.exit(0)
print(wait(pid), encoder.encode(["one"]).shape)
"""
    assert run(lf, models, code) == "0 (1, 64)\n"


def test_a_child_of_a_process_that_had_loaded_nothing_is_free(lf, models):
    code = """
pid = os.fork()
if pid == 0:
    print(lf.DocumentEncoder.load({encoder!r}).encode(["one"]).shape, flush=True)
    sys.exit(0)
print(wait(pid))
"""
    assert run(lf, models, code) == "(1, 64)\n0\n"


def test_spawned_workers_work(lf, models, tmp_path):
    file = tmp_path / "spawns.py"
    file.write_text((BEGIN + LOAD + """
def work(text):
    return lf.DocumentEncoder.load({encoder!r}).encode([text]).shape

if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(pool.map(work, ["one", "two"]))
        pool.close()
        pool.join()
""").format(root=str(ROOT), backend=lf.__name__, encoder=str(models / "encoder")))
    done = subprocess.run([sys.executable, str(file)], capture_output=True, text=True, timeout=300)
    assert (done.stdout, done.stderr) == ("[(1, 64), (1, 64)]\n", "")
