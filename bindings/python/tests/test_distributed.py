"""Training on two processes by torchrun (gloo, DDP and FSDP) equals training on one with the double batch. Needs PyTorch with transformers:
`make check-accelerate SID=<Debian sid root folder>` brings them together."""
from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
from pytorch import pytorch  # noqa: E402 - after the path

torch = pytorch()
pytest.importorskip("transformers", reason="transformers is not importable here: make check-accelerate SID=<root folder> runs these")
PROGRAM = Path(__file__).resolve().parent / "two_processes.py"


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What each case found; all in one run, since starting two processes takes longer than the cases."""
    file = tmp_path_factory.mktemp("distributed") / "results.json"
    # In place of --standalone: Debian builds PyTorch without libuv, which torchrun's own store needs.
    meeting = ["--rdzv-backend", "c10d", "--rdzv-endpoint", str(file.with_name("meeting")), "--rdzv-conf", "store_type=file", "--local-addr", "127.0.0.1"]
    command = [sys.executable, "-m", "torch.distributed.run", *meeting, "--nproc-per-node", "2", str(PROGRAM), str(file)]
    environment = os.environ | {"USE_LIBUV": "0", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, env=environment)
    found = json.loads(file.read_text()) if file.exists() else {}
    if done.returncode != 0:
        found["failure"] = (done.stdout + done.stderr)[-4000:]
    return found


def case(results, name):
    assert name in results, results.get("failure", "the program has no such case")
    return results[name]


EXACT = 1e-7
# name, tolerance (of float64 or, under autocast, bfloat16), whether parameters are without a gradient
CASES = [
    ("accelerated masked LM", EXACT, False), ("no global tokens", EXACT, True), ("global tokens on one process alone", EXACT, False),
    ("pooler without gradient", EXACT, True), ("gradient checkpointing", EXACT, False),
    ("gradient checkpointing without global tokens", EXACT, True), ("bfloat16 autocast", 0.1, False), ("accelerated LED", EXACT, False),
    ("own module", EXACT, False), ("own module without global tokens", EXACT, True), ("FSDP", EXACT, False),
    ("FSDP without global tokens", EXACT, True),
]  # fmt: skip


@pytest.mark.parametrize("name,tolerance,unused", CASES, ids=[c[0] for c in CASES])
def test_two_processes_train_as_one_with_the_double_batch(results, name, tolerance, unused):
    found = case(results, name)
    print(name, found)
    assert found["gradients"] < tolerance
    assert found["parameters"] < tolerance
    assert found["losses"] < tolerance
    assert found["used"] > 15 and found["moved"] > 1e-3 and found["fell"] > 0.01, "there was something to learn"
    assert (found["unused"] > 0) == unused


def test_ddp_without_a_word_about_unused_parameters_says_what_to_do(results):
    assert case(results, "DDP without a word about unused parameters") == {"refused": 1.0}
