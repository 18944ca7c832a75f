"""The library as a whole."""
from __future__ import annotations

from ._errors import InputError
from ._loaded import default_door

__all__ = ["cuda_available", "get_threads", "library_version", "set_threads", "torch_version"]


def library_version() -> str:
    """The version of the library behind this package, such as ``0.1.0``."""
    return default_door().version()


def torch_version() -> str:
    """The version of the libtorch that is loaded, such as ``1.13.0``. Loads it."""
    return default_door().torch_version()


def get_threads() -> int:
    """How many threads one operator may use."""
    return default_door().get_threads()


def set_threads(threads: int) -> None:
    """Sets how many threads one operator may use, for the whole process.

    >>> lf.set_threads(2); lf.get_threads()
    2
    """
    if threads < 1:
        raise InputError(f"threads: expected at least 1, given {threads}")
    default_door().set_threads(threads)


def cuda_available() -> bool:
    """Whether this libtorch serves CUDA and the machine has such a device."""
    return default_door().cuda_available()
