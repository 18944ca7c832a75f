"""The library as a whole."""
from __future__ import annotations

import logging

from ._backend import Backend
from ._errors import InputError
from ._loaded import default_backend

__all__ = ["cuda_available", "get_threads", "library_version", "log_to", "set_threads", "torch_version"]

#: Python's levels by those of the library.
_LEVELS = {1: logging.DEBUG, 2: logging.INFO, 3: logging.WARNING, 4: logging.ERROR}
_NONE = 6


def library_version() -> str:
    """The version of the library behind this package, such as ``0.1.0``."""
    return default_backend().version()


def torch_version() -> str:
    """The version of the libtorch that is loaded, such as ``2.10.0``. Loads it."""
    return default_backend().torch_version()


def get_threads() -> int:
    """How many threads one operator may use."""
    return default_backend().get_threads()


def set_threads(threads: int) -> None:
    """Sets how many threads one operator may use, for the whole process.

    >>> lf.set_threads(2); lf.get_threads()
    2
    """
    if threads < 1:
        raise InputError(f"threads: expected at least 1, given {threads}")
    default_backend().set_threads(threads)


def cuda_available() -> bool:
    """Whether this libtorch serves CUDA and the machine has such a device."""
    return default_backend().cuda_available()


def log_to(logger: logging.Logger | str | None = "longformer_interop", level: int = logging.WARNING) -> None:
    """Sends the library's messages to Python's ``logging``, for the whole process; without this call there are none.

    Args:
        logger: A logger or its name; None: nowhere.
        level: The lowest level that is worth a call: ``logging.WARNING`` (a document was truncated), ``logging.DEBUG`` (also a line for each
            batch). The logger's own level and handlers decide what is shown.

    >>> import logging
    >>> lf.log_to("my.application", logging.DEBUG)
    >>> lf.log_to(None)
    """
    log_by(default_backend(), logger, level)


def log_by(backend: Backend, logger: logging.Logger | str | None, level: int) -> None:
    if logger is None:
        backend.set_log(None, _NONE)
        return
    target = logging.getLogger(logger) if isinstance(logger, str) else logger
    least = min((ours for ours, python in _LEVELS.items() if python >= level), default=_NONE)
    backend.set_log(lambda at, message: target.log(_LEVELS.get(at, logging.CRITICAL), "%s", message), least)
