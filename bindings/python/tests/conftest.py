"""Fixtures: seeded random checkpoints made by the command line, the two backends, the goldens."""
from __future__ import annotations

import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
GOLDENS = ROOT / "parity-tests" / "goldens"
sys.path.insert(0, str(ROOT / "bindings" / "python"))

# A shell that starts a job in the background lets it ignore SIGINT, and Python then has no handler for it: the tests bring their own.
signal.signal(signal.SIGINT, signal.default_int_handler)

#: name -> arguments of `longformer random`.
CHECKPOINTS = {
    "encoder": [],
    "answerer": ["--head", "question-answering"],
    "classifier": ["--head", "sequence-classification", "--labels", "bad,fair,good"],
    "tagger": ["--head", "token-classification", "--labels", "O,B-PER,I-PER"],
    "chooser": ["--head", "multiple-choice"],
    "filler": ["--head", "masked-lm"],
    "spans": ["--head", "span-classification", "--labels", "PER,ORG"],
    "coref": ["--head", "coreference"],
    "summarizer": ["--size", "led-tiny"],
    # One pass of a long document takes a second or more, each layer a small part of it.
    "deep": ["--layers", "64", "--tokens", "8192", "--window", "64"],
}


#: The schedule of the character model: a few steps, so that it has a vocabulary and knows something.
SCHEDULE = {
    "dropout": 0,
    "model": {"n_layer": 2, "d_model": 32, "n_head": 2, "d_head": 16, "d_inner": 64},
    "phases": [
        {"steps": 30, "sequence_length": 32, "batch": 8, "learning_rate": 1e-2, "window": [4, 8]},
        {"steps": 6, "sequence_length": 64, "batch": 4, "learning_rate": 5e-3, "window": [8, 16], "dilation": [[1, 1], [1, 2]]},
    ],
}


def write_boats(file: Path) -> Path:
    """A text that the character model learns: its letters, blanks and nothing else."""
    file.write_text("".join("fog came home " if i * 7 % 11 % 3 == 0 else "the boats " for i in range(600)))
    return file


def make_character(folder: Path) -> None:
    if (folder / "character" / "model.safetensors").exists():
        return
    shutil.rmtree(folder / "character", ignore_errors=True)
    (folder / "schedule.json").write_text(json.dumps(SCHEDULE))
    command = [str(ROOT / "longformer"), "train", "char-lm", "--data", str(write_boats(folder / "boats")), "--schedule"]
    command += [str(folder / "schedule.json"), "--output", str(folder / "character"), "--threads", "1"]
    subprocess.run(command, check=True, capture_output=True, timeout=300)


def make_checkpoints(folder: Path) -> Path:
    """The checkpoints of the examples: tiny, random, seeded. Those that are there are kept."""
    make_character(folder)
    for name, arguments in CHECKPOINTS.items():
        if (folder / name / "model.safetensors").exists():
            continue
        shutil.rmtree(folder / name, ignore_errors=True)
        command = [str(ROOT / "longformer"), "random", str(folder / name), "--tokenizer", str(GOLDENS / "tokenizer" / "tiny"), *arguments]
        subprocess.run(command, check=True, capture_output=True, timeout=300)
    return folder


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoints(tmp_path_factory.mktemp("models"))


def _why_no_clr() -> str | None:
    try:
        import clr_loader  # noqa: F401
        import pythonnet  # noqa: F401
    except ImportError as e:
        return f"pythonnet is not importable ({e}); make installs it from ../shared/wheels where they are"
    return None


BACKENDS = [
    pytest.param("longformer_interop", id="c"),
    pytest.param("longformer_interop.clr", id="clr", marks=pytest.mark.skipif(_why_no_clr() is not None, reason=str(_why_no_clr()))),
]
if os.environ.get("LONGFORMER_PYTHON_BACKEND"):
    BACKENDS = [d for d in BACKENDS if d.id == os.environ["LONGFORMER_PYTHON_BACKEND"]]


@pytest.fixture(scope="session", params=BACKENDS)
def lf(request: pytest.FixtureRequest):
    """The package by either backend: every test that asks for it runs over both."""
    return importlib.import_module(request.param)


@pytest.fixture(scope="session")
def needs_clr() -> None:
    if (why := _why_no_clr()) is not None:
        pytest.skip(why)
