"""Finds the native libraries and the .NET assemblies: in the installed package, or in the source tree that it is used from."""
from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ._errors import LongformerError

__all__ = ["NATIVE_VARIABLE", "assemblies", "native_library"]

#: The environment variable that names the folder of the native libraries, for every language of this project.
NATIVE_VARIABLE = "LONGFORMER_NATIVE_DIR"
_PACKAGE = Path(__file__).resolve().parent


def source_root() -> Path | None:
    """The source tree around the package, None when it is installed."""
    for folder in _PACKAGE.parents:
        if (folder / "LongformerInterop.sln").is_file():
            return folder
    return None


def native_library(file: str) -> Path:
    """The absolute path of a native library: in ``LONGFORMER_NATIVE_DIR`` if that is set (and nowhere else then), in the package, or in
    ``artifacts/`` of the source tree."""
    named = os.environ.get(NATIVE_VARIABLE)
    candidates = [Path(named).resolve() / file] if named else [folder / file for folder in _native_folders()]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    places = " and ".join(map(str, candidates))
    raise LongformerError(f"native library {file} not found; looked for {places}. Build it (make) or set {NATIVE_VARIABLE} to its folder")


def assemblies() -> Path:
    """The folder of the .NET assemblies: in the package, or what ``make`` built in the source tree."""
    candidates = [_PACKAGE / "_net"]
    root = source_root()
    if root is not None:
        candidates.append(root / "build" / "dotnet" / "bin" / "LongformerInterop.PythonNet" / "release")
    for folder in candidates:
        if (folder / "LongformerInterop.PythonNet.dll").is_file():
            return folder
    raise LongformerError(f".NET assemblies not found; looked in {' and '.join(map(str, candidates))}. Build them: make managed")


def _native_folders() -> Iterator[Path]:
    yield _PACKAGE / "_native"
    root = source_root()
    if root is not None:
        yield root / "artifacts"
