"""Which libtorch the native library is to find in this process.

It takes the one that is loaded already, else the one that ``LIBTORCH`` names, else one in the folder of the library. It cannot know the
``torch`` package of this Python, so that is loaded here, where nothing else decides. PyTorch itself is not imported for it."""
from __future__ import annotations

import ctypes
import importlib.util
import os
import re
import sys
from pathlib import Path

from ._errors import LongformerError

__all__ = ["OLDEST", "VARIABLE", "is_too_old", "load", "package_libtorch", "without"]

#: The first libtorch with the C interface that the library speaks.
OLDEST = (2, 10)

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
    if file is None or is_too_old(file):
        return
    try:
        ctypes.CDLL(str(file))
    except OSError as e:
        # One with CUDA may be apart from CUDA's own libraries, which the package knows how to find.
        try:
            import torch  # noqa: F401
        except ImportError:
            raise LongformerError(f"libtorch cannot be loaded from {file}: {e}. {VARIABLE}=<folder> chooses another") from None


def without() -> str:
    """Returns the part of the message about the ``torch`` package, where no libtorch was found."""
    file = package_libtorch()
    of_package = (
        f"Nor has this Python ({sys.prefix}) a package torch with a {_NAME}" if file is None
        else f"The package torch of this Python ({file.parent.parent}) is {_version(file)}, which is too old"
    )  # fmt: skip
    oldest = ".".join(map(str, OLDEST))
    return f"{of_package}. Install PyTorch {oldest} or later (pip install longformer-interop[torch]), or set {VARIABLE} to the folder of a libtorch"


def package_libtorch() -> Path | None:
    """libtorch_cpu in the ``torch`` package of this Python, which is looked for without being imported."""
    try:
        found = importlib.util.find_spec("torch")
    except (ImportError, ValueError):
        return None
    folders = [] if found is None else [Path(p) / "lib" for p in found.submodule_search_locations or ()]
    return next((folder / _NAME for folder in folders if (folder / _NAME).is_file()), None)


def is_too_old(file: Path) -> bool:
    """Whether the package around this libtorch says a version that the library does not know. One that says nothing is tried."""
    found = re.match(r"(\d+)\.(\d+)", _version(file))
    return found is not None and (int(found[1]), int(found[2])) < OLDEST


def _version(file: Path) -> str:
    try:
        found = re.search(r"""^__version__\s*(?::[^=]*)?=\s*['"]([^'"]+)""", (file.parent.parent / "version.py").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else "of unknown version"


def _is_loaded() -> bool:
    if "torch" in sys.modules:
        return True
    try:
        return _NAME in Path("/proc/self/maps").read_text(errors="replace")
    except OSError:
        return False
