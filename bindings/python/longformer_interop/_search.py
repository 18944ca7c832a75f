"""A corpus to search, by meaning, by words, or by both."""
from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from ._backend import Backend
from ._errors import InputError
from ._loaded import default_backend
from ._options import _one_of
from ._results import FoundPassage, IndexResult, SearchResult
from ._tasks import DocumentEncoder
from ._texts import one_text, whole
from ._watch import ProgressArgument, Watch, watched

__all__ = ["SearchIndex"]

T = TypeVar("T")


class SearchIndex:
    """The passages of a corpus with their vectors and words, in one file that is mapped into memory (docs/search.md).

    >>> path = str(tmp_path / "manuals.lfindex")
    >>> manuals = {"tar": "Tar stores files in an archive.", "lpr": "A queue of jobs waits for the printer."}
    >>> with lf.DocumentEncoder.load(models / "encoder") as encoder:
    ...     made = lf.SearchIndex.build(path, manuals, encoder)
    ...     by_both = lf.SearchIndex(path, encoder).search("an archive of files")
    >>> made.documents, len(by_both)
    (2, 2)
    >>> [found.source for found in lf.SearchIndex(path).search("printer queue")]
    ['lpr']
    """

    def __init__(self, path: str | os.PathLike[str], encoder: DocumentEncoder | None = None) -> None:
        """An index in a file.

        Args:
            path: The file, by ``build`` or ``longformer index``. It is opened by each search.
            encoder: The encoder that it was built with; without one it is searched by words.
        """
        self.path, self.encoder = os.fspath(path), encoder

    @classmethod
    def build(
        cls,
        path: str | os.PathLike[str],
        documents: Mapping[str, str] | Iterable[tuple[str, str]],
        encoder: DocumentEncoder | None = None,
        *,
        passage_tokens: int = 512,
        prompt_name: str | None = None,
        progress: ProgressArgument = None,
    ) -> IndexResult:
        """Makes an index, or brings one by the same encoder up to date: documents whose text it has keep their vectors.

        Args:
            path: The file, which appears when it is whole.
            documents: Texts by their names, or pairs of name and text.
            encoder: Makes the vectors; None: an index of words alone.
            passage_tokens: The most tokens of a passage; 0: as many as the encoder takes.
            prompt_name: A prompt of the encoder's folder; None: that for documents, if it has one.
            progress: True for a tqdm bar, or a function that gets a ``Progress`` after every document.

        Raises:
            InputError: There is no document with a word in it.
            CheckpointError: The file is something else, or cannot be written.
        """
        pairs = list(documents.items() if isinstance(documents, Mapping) else documents)
        if not pairs:
            raise InputError("documents: expected at least one, given none")
        names = [whole(one_text(name, "source")) for name, _ in pairs]
        texts = [whole(one_text(text, "document")) for _, text in pairs]
        watch, after = watched(progress, "document")
        settings = {"passage_tokens": passage_tokens, "prompt_name": prompt_name}
        found = cls._call(encoder, watch, lambda backend, native: backend.index(os.fspath(path), native, names, texts, _given(settings), watch))
        if after is not None:
            after()
        return IndexResult(found["documents"], found["passages"], found["reused"])

    def search(
        self, question: str, top: int = 10, *, by: str | None = None, passages: int = 1, meaning_weight: float = 0.5, prompt_name: str | None = None
    ) -> list[SearchResult]:
        """The documents that fit a question best, the best first.

        Args:
            question: What is sought.
            top: The most documents.
            by: ``"meaning"`` (cosine), ``"words"`` (BM25) or ``"both"``; None: both with an encoder, else words.
            passages: The most passages of each document.
            meaning_weight: Of both: the weight of meaning, 0 to 1.
            prompt_name: A prompt of the encoder's folder; None: that for queries, if it has one.

        Raises:
            InputError: The question is empty, or the encoder is not the index's.
        """
        if by is not None:
            _one_of("by", by, ("meaning", "words", "both"))
        settings = {"top": top, "by": by, "passages": passages, "meaning_weight": float(meaning_weight), "prompt_name": prompt_name}
        text = whole(one_text(question, "question"))
        watch, _ = watched(None, "question")
        rows = self._call(self.encoder, watch, lambda backend, native: backend.search(self.path, native, text, _given(settings), watch))
        results: list[SearchResult] = []
        for rank, source, score, passage, start, end, own in rows:
            found = FoundPassage(passage, int(start), int(end), float(own))
            if int(rank) < len(results):
                results[-1] = replace(results[-1], passages=(*results[-1].passages, found))
            else:
                results.append(SearchResult(source, float(score), (found,)))
        return results

    @classmethod
    def _get_backend(cls) -> Backend:
        return default_backend()

    @classmethod
    def _call(cls, encoder: DocumentEncoder | None, watch: Watch, work: Callable[[Backend, Any], T]) -> T:
        if encoder is None:
            backend = cls._get_backend()
            return watch.run(lambda chosen: work(chosen, None), backend, backend.polls)
        backend = encoder._get_backend()
        with encoder._use() as native:
            return watch.run(lambda chosen: work(chosen, native), backend, backend.polls)


def _given(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if value is not None}
