"""Loads the operator library into PyTorch and registers gradients, shapes and batches of its operators."""
from __future__ import annotations

import ctypes
import re
import threading
from pathlib import Path
from typing import Any

from .._errors import LongformerError
from .._fork import watch
from .._libtorch import OLDEST
from .._paths import native_library

__all__ = ["check_version", "library_path", "register"]

_LIBRARY = "liblongformer_ops.so"

_lock = threading.Lock()
_loaded: Path | None = None
# Dropping it would drop its registrations.
_fragment: Any = None


def library_path() -> Path:
    """Returns the path of the operator library that is, or would be, loaded."""
    return _loaded or native_library(_LIBRARY)


def register() -> Path:
    """Loads the operators into PyTorch, unless they are loaded already, and returns the library's path.

    Raises:
        LongformerError: PyTorch is missing or older than 2.10, or the library cannot be loaded; the message says which.
    """
    global _loaded, _fragment
    with _lock:
        if _loaded is not None:
            return _loaded
        try:
            import torch
        except ImportError as e:
            raise LongformerError(f"longformer_interop.torch needs PyTorch, which is not importable: {e}") from None
        check_version(torch.__version__, Path(torch.__file__).parent)
        path = native_library(_LIBRARY)
        if not _registered():
            _load(path)
        from . import _batches, _gradients, _shapes, _traced

        _fragment = torch.library.Library("longformer", "FRAGMENT")
        _traced.define(_fragment)
        for part in (_shapes, _gradients, _batches):
            part.install(_fragment)
        watch()
        _loaded = path
        return path


def check_version(version: str, folder: Path) -> None:
    """Refuses a PyTorch without the C interface."""
    found = re.match(r"(\d+)\.(\d+)", version)
    if found is None or (int(found[1]), int(found[2])) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise LongformerError(f"longformer_interop.torch needs PyTorch {oldest} or later; this Python has {version} in {folder}")


def _registered() -> bool:
    """Whether the C or the .NET side has loaded the operators into this process. A second copy could not register them again."""
    import torch

    try:
        torch.ops.longformer.banded_attention  # noqa: B018 - looked for
    except (AttributeError, RuntimeError):
        return False
    return True


def _load(path: Path) -> None:
    try:
        # The library finds PyTorch's libtorch in the process and registers its operators there.
        library = ctypes.CDLL(str(path))
        library.longformer_ops_last_error.restype = ctypes.c_char_p
        failed = library.longformer_ops_initialize()
    except (OSError, AttributeError) as e:
        raise LongformerError(f"{path} cannot be loaded: {e}") from None
    if failed:
        raise LongformerError(f"{path} cannot be used: {library.longformer_ops_last_error().decode('utf-8', 'replace')}")
    if not _registered():
        raise LongformerError(f"{path} is loaded, but PyTorch does not know its operators: it found another libtorch in this process")
