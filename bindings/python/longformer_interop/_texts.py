"""Texts as the functions take them."""
from __future__ import annotations

from collections.abc import Sequence

from ._errors import InputError

__all__ = ["one_text", "texts", "whole", "whole_characters"]


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


def whole_characters(text: str) -> str:
    """The text with U+FFFD for every single surrogate; two halves that belong together become their character."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def whole(text: str) -> str:
    """The text itself where nothing is to be replaced."""
    try:
        text.encode()
        return text
    except UnicodeEncodeError:
        return whole_characters(text)
