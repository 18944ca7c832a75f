"""The base of everything that is loaded from a folder: loading, closing, pickling, and use by many threads."""
from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ._errors import LongformerError
from ._fork import STATE, refuse_in_child
from ._options import LoadOptions

if TYPE_CHECKING:
    from ._backend import Backend

N = TypeVar("N")
S = TypeVar("S", bound="Loaded[Any]")


def default_backend() -> Backend:
    """The C library."""
    from ._capi.backend import BACKEND

    return BACKEND


class Use(Generic[N]):
    """Keeps the native object alive while a call uses it, even if another thread closes it."""

    __slots__ = ("_loaded",)

    def __init__(self, loaded: Loaded[N]) -> None:
        self._loaded = loaded

    def __enter__(self) -> N:
        return self._loaded._enter()

    def __exit__(self, *_: object) -> None:
        self._loaded._leave()


class Loaded(Generic[N]):
    """Something loaded from a checkpoint folder. A context manager: leaving it frees the native memory, as ``close`` does.

    Any number of threads may use one object at once. Pickling stores the folder and the options; unpickling loads them again.
    """

    _native: N | None = None
    # The backend's name of the class, also for a subclass of the user's.
    _kind = ""

    def __init__(self, native: N, folder: str | None, options: LoadOptions) -> None:
        self._native = native
        # None: the model in the box.
        self.folder = folder
        self.options = options
        self._lock = threading.Lock()
        # One entry for each running call. A list, since appending and popping take no lock. A signal handler's call would wait for a lock
        # for ever.
        self._users: list[None] = []
        self._closing = False

    @classmethod
    def _get_backend(cls) -> Backend:
        return default_backend()

    @classmethod
    def _open(cls, backend: Backend, folder: str, options: LoadOptions) -> Any:
        return backend.load(cls._kind, folder, options)

    @classmethod
    def load(
        cls: type[S],
        folder: str | os.PathLike[str],
        *,
        device: str = "cpu",
        dtype: str | None = None,
        attention: str = "fused",
        options: LoadOptions | None = None,
    ) -> S:
        """Loads a checkpoint folder.

        Args:
            folder: The folder with ``config.json``, the weights and (for tasks) the tokenizer's files.
            device: ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.
            dtype: ``"float32"``, ``"bfloat16"``, ``"float16"``, ``"float64"``, ``"int8"``; None: as stored (float16 becomes float32 on the CPU).
            attention: ``"fused"``, ``"chunks"`` or ``"loop"``: which implementation computes the window attention.
            options: The three above in one object, in their place.

        Raises:
            CheckpointError: The folder is no checkpoint of this kind, or its tensors do not fit; everything is listed.
            DeviceError: There is no such device.
        """
        chosen = options if options is not None else LoadOptions(device, dtype, attention)
        path = os.fspath(folder)
        return cls(cls._open(cls._get_backend(), path, chosen), path, chosen)

    @property
    def closed(self) -> bool:
        return self._native is None or self._closing

    def close(self) -> None:
        """Frees the native memory; calls that are running finish first. Closing again does nothing."""
        self._closing = True
        if not self._users:
            self._free()

    def _use(self) -> Use[N]:
        return Use(self)

    def _enter(self) -> N:
        """The native object for one call, which ``_leave`` ends."""
        # Enters first and looks then. close does the opposite, so that one of the two sees the other.
        self._users.append(None)
        native = self._native
        if STATE.forked:
            self._users.pop()
            refuse_in_child()
        if self._closing or native is None:
            self._leave()
            raise self._refusal()
        return native

    def _leave(self) -> None:
        self._users.pop()
        if self._closing and not self._users:
            self._free()

    def _free(self) -> None:
        # The last call and close may both come here.
        with self._lock:
            native, self._native = self._native, None
        if native is not None and not STATE.forked:
            native.close()  # type: ignore[attr-defined]

    def _refusal(self) -> LongformerError:
        return LongformerError(f"{type(self).__name__} of {self.folder}: it is closed")

    def __enter__(self: S) -> S:
        if self.closed:
            raise self._refusal()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __reduce__(self) -> Any:
        if self.closed:
            raise self._refusal()
        return _reload, (type(self), self.folder, self.options)

    def __del__(self, ending: Callable[[], bool] = sys.is_finalizing, state: Any = STATE) -> None:
        # When Python ends, parts that a backend needs may be gone, and the process ends anyway.
        native, self._native = self._native, None
        if native is not None and not ending() and not state.forked:
            native.close()  # type: ignore[attr-defined]

    def _describe(self) -> str:
        return ""

    def __repr__(self) -> str:
        if self.closed:
            return f"<{type(self).__name__} of {self.folder!r}, closed>"
        o = self.options
        where = o.device + (f", {o.dtype}" if o.dtype else "") + (f", attention {o.attention}" if o.attention != "fused" else "")
        return f"<{type(self).__name__} of {self.folder!r} on {where}{self._describe()}>"


def _reload(cls: type[S], folder: Any, options: LoadOptions) -> S:
    return cls.load(folder, options=options)
