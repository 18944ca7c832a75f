"""The exceptions of both backends. Messages come from the library: they name what, where, expected and given."""
from __future__ import annotations

__all__ = ["CheckpointError", "DeviceError", "InputError", "LongformerError"]


class LongformerError(Exception):
    """The base of every error that this package raises for its own reason.

    >>> import longformer_interop as lf
    >>> issubclass(lf.InputError, lf.LongformerError) and issubclass(lf.InputError, ValueError)
    True
    """


class CheckpointError(LongformerError):
    """A checkpoint folder is missing, malformed or not of the kind asked for. All problems are listed at once."""


class InputError(LongformerError, ValueError):
    """An argument is wrong: its kind, shape, dtype or value. The message names the argument, the expected and the given.

    ``argument``, ``index``, ``expected`` and ``given`` are the parts of a message "argument[index]: expected ..., given ..."; None where only
    the message has them.
    """

    argument: str | None = None
    index: int | None = None
    expected: str | None = None
    given: str | None = None

    def _with(self, argument: str | None, index: int, expected: str | None, given: str | None) -> InputError:
        """This error with its parts; ``index`` -1: none."""
        self.argument, self.index, self.expected, self.given = argument, None if index < 0 else index, expected, given
        return self


class DeviceError(LongformerError):
    """A device was asked for that this machine, or this libtorch, does not have."""
