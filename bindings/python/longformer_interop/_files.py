"""Checkpoint files: converting checkpoints, reading and writing safetensors."""
from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ._arrays import borrow
from ._loaded import default_backend
from ._model import _read_only
from ._options import _one_of

if TYPE_CHECKING:
    import numpy as np

    from ._backend import Backend

__all__ = ["convert", "load_safetensors", "save_safetensors"]


def convert(
    source: str | os.PathLike[str],
    output: str | os.PathLike[str],
    to: str = "longformer",
    *,
    positions: int | None = None,
    window: int | Sequence[int] | None = None,
    base_positions: int | None = None,
    overwrite: bool = False,
) -> list[tuple[str, str]]:
    """Converts a checkpoint folder or file into a new folder: RoBERTa and BERT to Longformer, BART to LED, anything to safetensors.

    Args:
        source: The checkpoint.
        output: The new folder.
        to: ``"longformer"``, ``"led"`` or ``"safetensors"``.
        positions: Tokens that a document may have afterwards.
        window: Attention window, both sides together: one value, or one per layer.
        base_positions: How many positions of the source are copied over and over; None: all.
        overwrite: Replace a checkpoint that is at the output.

    Returns:
        What was recognised and made: pairs of ``"source"``, ``"note"`` or ``"file"`` and a text.
    """
    return convert_by(default_backend(), source, output, to, positions, window, base_positions, overwrite)


def load_safetensors(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The tensors of a safetensors file, read-only, where they are in the mapped file (bfloat16 as float32)."""
    return _read_only(default_backend().read_tensors(os.fspath(path)))


def save_safetensors(path: str | os.PathLike[str], tensors: Mapping[str, Any]) -> None:
    """Writes arrays, or anything with ``__dlpack__``, to a safetensors file.

    >>> import numpy as np, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     lf.save_safetensors(folder + "/x.safetensors", {"a": np.arange(3.0)})
    ...     lf.load_safetensors(folder + "/x.safetensors")["a"].tolist()
    [0.0, 1.0, 2.0]
    """
    write_by(default_backend(), path, tensors)


def convert_by(
    backend: Backend,
    source: str | os.PathLike[str],
    output: str | os.PathLike[str],
    to: str,
    positions: int | None,
    window: int | Sequence[int] | None,
    base_positions: int | None,
    overwrite: bool,
) -> list[tuple[str, str]]:
    _one_of("to", to, ("longformer", "led", "safetensors"))
    windows = [window] if isinstance(window, int) else window
    return backend.convert(os.fspath(source), os.fspath(output), to, positions, windows, base_positions, overwrite)


def write_by(backend: Backend, path: str | os.PathLike[str], tensors: Mapping[str, Any]) -> None:
    backend.write_tensors(os.fspath(path), {name: borrow(value, name) for name, value in tensors.items()})
