"""Which libtorch the native library is to find in this process.

It takes the one that is loaded already, else the one that ``LIBTORCH`` names, else one that lies beside it. What it cannot know is the
``torch`` package of this Python, so that is loaded here, where nothing else decides. PyTorch itself is not imported for it."""
from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
from pathlib import Path

from ._errors import LongformerError

__all__ = ["VARIABLE", "load", "without"]

#: The environment variable that names a folder with a libtorch, for every language of this project.
VARIABLE = "LIBTORCH"
_NAME = "libtorch_cpu.so"


def load() -> None:
    """Loads the libtorch of the ``torch`` package, unless there is one in this process or ``LIBTORCH`` names one.

    Raises:
        LongformerError: The package is there, but its libtorch cannot be loaded.
    """
    if os.environ.get(VARIABLE) or _is_loaded():
        return
    file = package_libtorch()
    if file is None:
        return
    try:
        ctypes.CDLL(str(file))
    except OSError as e:
        # One with CUDA may lie apart from CUDA's own libraries, which the package knows how to find.
        try:
            import torch  # noqa: F401
        except ImportError:
            raise LongformerError(f"libtorch cannot be loaded from {file}: {e}. {VARIABLE}=<folder> chooses another") from None


def without() -> str:
    """What to say where no libtorch was found: what is said of the ``torch`` package."""
    return (
        f"Nor has this Python ({sys.prefix}) a package torch with a {_NAME} in it. "
        f"Install PyTorch 2.10 or later (pip install longformer-interop[torch]), or set {VARIABLE} to the folder of a libtorch"
    )


def package_libtorch() -> Path | None:
    """libtorch_cpu in the ``torch`` package of this Python, which is looked for without being imported."""
    try:
        found = importlib.util.find_spec("torch")
    except (ImportError, ValueError):
        return None
    folders = [] if found is None else [Path(p) / "lib" for p in found.submodule_search_locations or ()]
    return next((folder / _NAME for folder in folders if (folder / _NAME).is_file()), None)


def _is_loaded() -> bool:
    if "torch" in sys.modules:
        return True
    try:
        return _NAME in Path("/proc/self/maps").read_text(errors="replace")
    except OSError:
        return False
