"""A forked child has the library's memory but none of its threads, so nothing may call it there.

Code that loads native code says so by ``watch``. From then on a child of this process refuses every call with one clear error, frees
nothing (its memory is the parent's, copied) and ends as any other."""
from __future__ import annotations

import os

from ._errors import LongformerError

__all__ = ["STATE", "refuse_in_child", "watch"]


class _State:
    __slots__ = ("forked", "loaded_in")

    def __init__(self) -> None:
        #: Whether this process was forked from one that had loaded the library; and which process loaded it.
        self.forked = False
        self.loaded_in: int | None = None


STATE = _State()


def watch() -> None:
    """Called where the library is loaded."""
    if STATE.loaded_in is None and hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_in_child)
    STATE.loaded_in = os.getpid()


def _in_child() -> None:
    STATE.forked = True


def refuse_in_child() -> None:
    """Raises where the library must not be called.

    Raises:
        LongformerError: This process is a forked child.
    """
    if STATE.forked:
        raise LongformerError(
            f"this process was forked from one that had loaded longformer_interop already (process {STATE.loaded_in}), and the threads of the "
            'library do not live on in a fork. Start processes by "spawn" or "forkserver" (multiprocessing.get_context("spawn"), '
            "multiprocessing_context of a DataLoader), or use longformer_interop only after the fork (gunicorn without --preload)"
        )
