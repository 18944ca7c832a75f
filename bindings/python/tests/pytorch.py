"""PyTorch for a test, where this Python has one that the library can use."""
from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from longformer_interop._libtorch import is_too_old, package_libtorch  # noqa: E402 - after the path


def pytorch() -> Any:
    """``torch``, or the test (or module) is skipped. One that is too old is not imported: its libtorch would be that of all other tests."""
    file = package_libtorch()
    if file is None or is_too_old(file):
        pytest.skip(f"this Python has no PyTorch of 2.10 or later{'' if file is None else f', but one in {file.parent.parent}'}", allow_module_level=True)
    return importlib.import_module("torch")
