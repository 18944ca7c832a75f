"""Indexes of corpora by the C library."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .._watch import Watch
from .library import library, packed, text_utf8, utf8
from .loading import settings_of
from .objects import Answers, handle

__all__ = ["CSearch"]


class CSearch:
    """The part of the backend that makes and searches indexes."""

    def index(
        self, path: str, encoder: Any, sources: Sequence[str], documents: Sequence[str], settings: Mapping[str, Any], watch: Watch
    ) -> dict[str, int]:
        names, _, _ = packed(sources)
        texts, lengths, count = packed(documents)
        with settings_of(settings, watch) as opened:
            found = handle(library().lf_search_index_build, utf8(path, "path"), _handle(encoder), names, texts, lengths, count, opened)
        with Answers(found) as a:
            return {label: int(score) for label, score in a.items("label", "score")}

    def search(self, path: str, encoder: Any, question: str, settings: Mapping[str, Any], watch: Watch) -> list[tuple[Any, ...]]:
        text = text_utf8(question)
        with settings_of(settings, watch) as opened:
            found = handle(library().lf_search_index_search, utf8(path, "path"), _handle(encoder), text, len(text), opened)
        with Answers(found) as a:
            return list(a.items("group", "label", "score", "text", "start", "end", "logit"))


def _handle(encoder: Any) -> int | None:
    return None if encoder is None else encoder._handle
