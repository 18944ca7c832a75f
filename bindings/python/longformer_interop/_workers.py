"""A model that each process loads once: for the workers of Dask, Spark and Ray, and of pools."""
from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import Any, Generic, TypeVar, cast

from ._errors import InputError
from ._fork import refuse_in_child
from ._loaded import Loaded
from ._options import LoadOptions

__all__ = ["PerProcess"]

S = TypeVar("S", bound=Loaded[Any])

#: What this process has loaded, by class, folder and options.
_loaded: dict[Any, Loaded[Any]] = {}
_lock = threading.Lock()
_of_parents: list[Any] = []


class PerProcess(Generic[S]):
    """A task or model of a folder that each process loads once, when it first asks for it.

    It holds the class, the folder and the options alone. So it is made, pickled and sent at no cost, and loads nothing where it is made:
    a process may be forked from there. Threads and tasks of a process get the same object; it lives as long as the process.

    Args:
        kind: The class, such as ``lf.DocumentEncoder``.
        folder: The checkpoint folder. Workers must find it at the same path.
        threads: How many threads an operator may use in a process, set by the first that loads. None: what ``OMP_NUM_THREADS`` says (Dask, Spark and Ray set
            it for their workers), else 1, since there is mostly a worker for each core.
        options: As for ``load``; or ``device``, ``dtype`` and ``attention`` by name.

    >>> import pickle
    >>> shared = lf.PerProcess(lf.DocumentEncoder, models / "encoder", threads=1)
    >>> again = pickle.loads(pickle.dumps(shared))
    >>> again == shared, again.get() is shared.get(), shared.get().encode("text").shape
    (True, True, (64,))
    """

    def __init__(
        self, kind: type[S], folder: str | os.PathLike[str], *, threads: int | None = None, options: LoadOptions | None = None,
        **load: Any,
    ) -> None:  # fmt: skip
        if not (isinstance(kind, type) and issubclass(kind, Loaded)):
            raise InputError(f"kind: expected a class with load, such as DocumentEncoder, given {kind!r}")
        if threads is not None and threads < 1:
            raise InputError(f"threads: expected at least 1, given {threads}")
        if options is not None and load:
            raise InputError(f"options: expected these or {', '.join(load)}, given both")
        self.kind = kind
        # A worker's own folder is another one.
        self.folder = os.path.abspath(os.fspath(folder))
        self.threads = threads
        self.options = LoadOptions(**load) if options is None else options

    def get(self) -> S:
        """The object of this process. The first call loads it; others wait meanwhile.

        Raises:
            CheckpointError: The folder is no checkpoint of this kind.
            LongformerError: This process was forked from one that had loaded the library.
        """
        key = self._key()
        found = _loaded.get(key)
        if found is None or found.closed:
            refuse_in_child()
            with _lock:
                found = _loaded.get(key)
                if found is None or found.closed:
                    self.kind._get_backend().set_threads(self._threads(os.environ))
                    found = _loaded[key] = self.kind.load(self.folder, options=self.options)
        return cast(S, found)

    def _threads(self, environment: Mapping[str, str]) -> int:
        if self.threads is not None:
            return self.threads
        # OpenMP reads a list too, a number for each level.
        said = environment.get("OMP_NUM_THREADS", "").split(",")[0].strip()
        return int(said) if said.isdecimal() and int(said) > 0 else 1

    def _key(self) -> tuple[Any, ...]:
        return self.kind, self.folder, self.options

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PerProcess) and (self._key(), self.threads) == (other._key(), other.threads)

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return f"PerProcess({self.kind.__name__}, {self.folder!r}, threads={self.threads}, options={self.options!r})"


def _forget() -> None:
    # The parent's objects are not for a child, which must not free them either. Another thread of the parent may have held the lock.
    global _loaded, _lock
    _of_parents.append(_loaded)
    _loaded, _lock = {}, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
