"""Texts as the functions take them."""
from __future__ import annotations

from collections.abc import Sequence

from ._errors import InputError

__all__ = ["one_text", "texts"]


def texts(value: str | Sequence[str], name: str) -> list[str]:
    """A list of texts; one text makes a list of one."""
    if isinstance(value, str):
        return [value]
    result = list(value)
    for i, text in enumerate(result):
        if not isinstance(text, str):
            raise InputError(f"{name}[{i}]: expected a str, given {type(text).__name__}")
    return result


def one_text(value: str, name: str) -> str:
    if not isinstance(value, str):
        raise InputError(f"{name}: expected a str, given {type(value).__name__}")
    return value
