"""Checkpoints and texts for the notebooks, so that they run anywhere: seeded random weights (made by the command line), and texts that
every Debian has. Put a real checkpoint's folder in the environment variable of its name (such as ENCODER) to see what it finds."""
from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOT = next(p for p in Path(__file__).resolve().parents if (p / "LongformerInterop.sln").exists())


def checkpoint(name: str, *arguments: str) -> Path:
    """The folder of a checkpoint: the one that the environment variable NAME names, or a random one made by `longformer random`."""
    given = os.environ.get(name.upper())
    if given:
        return Path(given)
    folder = ROOT / "build" / "notebooks" / "-".join([name, *arguments]).replace("--", "").replace(" ", "")
    if not (folder / "model.safetensors").exists():
        tokenizer = ROOT / "parity-tests" / "goldens" / "tokenizer" / "roberta"
        command = [str(ROOT / "longformer"), "random", str(folder), "--tokenizer", str(tokenizer), "--seed", "7", *arguments]
        subprocess.run(command, check=True, capture_output=True)
    return folder


def text(name: str) -> str:
    """Returns one of Debian's license texts: long, formal English."""
    return (Path("/usr/share/common-licenses") / name).read_text()
