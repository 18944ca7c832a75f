"""Text piece by piece while a call writes it, for ``for`` and ``async for``."""
from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from ._loaded import Loaded
from ._watch import Watch

__all__ = ["astreamed", "streamed"]

_END: Any = object()

#: Makes the watch and the function of a call, from the function that each piece is to be put into.
Begin = Callable[[Callable[[Any], Any]], tuple[Watch, Callable[[Any], Any]]]


def streamed(loaded: Loaded[Any], begin: Begin) -> Iterator[str]:
    """Yields the pieces of a call; leaving the loop early stops the work."""
    pieces: queue.SimpleQueue[Any] = queue.SimpleQueue()
    watch, call = begin(pieces.put)
    with loaded._use() as native:
        worker = _Worker(watch, call, native, pieces.put)
        try:
            while True:
                piece = pieces.get()
                if piece is _END:
                    break
                yield piece
        finally:
            watch.stop()
            worker.join()
        worker.raise_error()


async def astreamed(loaded: Loaded[Any], begin: Begin) -> AsyncIterator[str]:
    """``streamed`` for ``async for``."""
    loop = asyncio.get_running_loop()
    pieces: asyncio.Queue[Any] = asyncio.Queue()

    def put(piece: Any) -> None:
        loop.call_soon_threadsafe(pieces.put_nowait, piece)

    watch, call = begin(put)
    with loaded._use() as native:
        worker = _Worker(watch, call, native, put)
        try:
            while True:
                piece = await pieces.get()
                if piece is _END:
                    break
                yield piece
        finally:
            watch.stop()
            await loop.run_in_executor(None, worker.join)
        worker.raise_error()


class _Worker(threading.Thread):
    """Runs a call, says when it is over, and keeps its error."""

    def __init__(self, watch: Watch, call: Callable[[Any], Any], native: Any, put: Callable[[Any], Any]) -> None:
        super().__init__(name="longformer_interop stream", daemon=True)
        self._watch, self._call, self._native, self._put = watch, call, native, put
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self._watch.run(self._call, self._native, True)
        except BaseException as e:  # noqa: BLE001 - raised by the reader of the stream
            self._error = e
        finally:
            self._put(_END)

    def raise_error(self) -> None:
        if self._error is not None:
            raise self._error
