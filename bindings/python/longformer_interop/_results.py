"""The results of the tasks. Positions in texts count characters as Python does: ``text[start:end]``."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = [
    "Answer", "ChoiceScore", "Cluster", "CoreferencePrediction", "Encoding", "Entity", "FilledMask", "FoundPassage", "Generated", "HotpotPrediction",
    "IndexResult", "LabelScore", "MaskCandidate", "Mention", "Progress", "SearchResult", "Summary", "SupportingFact", "WordSpan",
]  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """A span of the document that answers the question.

    ``score`` is the probability of the start times that of the end, over all windows of the document together; ``logit`` is the
    sum of the two logits, which the ranking uses.

    >>> Answer("1605", 10, 14, 0.5, 3.25)
    Answer(text='1605', start=10, end=14, score=0.5, logit=3.25)
    """

    text: str
    start: int
    end: int
    score: float
    logit: float


@dataclass(frozen=True)
class LabelScore:
    """A label and how likely it is: softmax for one label per text, sigmoid for several, the value itself for regression."""

    label: str
    score: float
    logit: float


@dataclass(frozen=True)
class Entity:
    """A labeled stretch ``text[start:end]`` of the text. ``score`` is the mean probability of its label."""

    label: str
    text: str
    start: int
    end: int
    score: float


@dataclass(frozen=True)
class Mention:
    """A stretch ``text[start:end]`` of the text that means something."""

    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Cluster:
    """Mentions, two or more, of one and the same thing, in the order of the text."""

    mentions: tuple[Mention, ...]


@dataclass(frozen=True, order=True)
class WordSpan:
    """Words ``first`` to ``last``, both included, counted over a document."""

    first: int
    last: int


@dataclass(frozen=True)
class CoreferencePrediction:
    """The clusters of a document of a CoNLL-2012 file: ``evaluate("coref", ...)`` has one for each ``#begin document``.

    >>> CoreferencePrediction.of({"document": "nw/made/up_0001", "part": 0, "clusters": [[[0, 1], [7, 7]]]}).clusters
    ((WordSpan(first=0, last=1), WordSpan(first=7, last=7)),)
    """

    document: str
    part: int
    clusters: tuple[tuple[WordSpan, ...], ...]

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> CoreferencePrediction:
        """The prediction of the library's JSON object."""
        clusters = tuple(tuple(WordSpan(*mention) for mention in cluster) for cluster in given["clusters"])
        return cls(given["document"], given["part"], clusters)


@dataclass(frozen=True, order=True)
class SupportingFact:
    """A sentence of a paragraph, counted from 0."""

    title: str
    sentence: int


@dataclass(frozen=True)
class HotpotPrediction:
    """The answer to a question of HotpotQA, and the sentences that it rests on: ``evaluate("hotpotqa", ...)`` has one for each question.

    ``type`` is ``"yes"``, ``"no"`` or ``"span"``, where ``answer`` is a stretch of the text. ``paragraph_scores`` are in the order of the file; None for a
    paragraph that the model's positions cut away.
    """

    id: str
    answer: str
    type: str
    supporting_facts: tuple[SupportingFact, ...]
    paragraph_scores: tuple[float | None, ...]

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> HotpotPrediction:
        """The prediction of the library's JSON object."""
        facts = tuple(SupportingFact(*fact) for fact in given["supporting_facts"])
        return cls(given["id"], given["answer"], given["type"], facts, tuple(given["paragraph_scores"]))


@dataclass(frozen=True)
class MaskCandidate:
    """A token for a mask: its id, its text (with the space it may begin with), its probability over the vocabulary."""

    id: int
    text: str
    score: float


@dataclass(frozen=True)
class FilledMask:
    """One mask of a text: its characters ``text[start:end]``, and the likeliest tokens for it, best first."""

    start: int
    end: int
    candidates: tuple[MaskCandidate, ...]


@dataclass(frozen=True)
class ChoiceScore:
    """A choice, counted from 0, and how likely it is among the choices (softmax of the logits)."""

    index: int
    choice: str
    score: float
    logit: float


@dataclass(frozen=True)
class Summary:
    """A generated text with its tokens.

    ``ids`` are the decoder's tokens, the start token first and without padding. ``score`` is the sum of the log-probabilities over
    (number of generated tokens) to the length penalty.
    """

    text: str
    ids: tuple[int, ...]
    score: float


@dataclass(frozen=True)
class Generated:
    """Tokens that a bare model generated: the decoder's prompt with its start token, then what was generated.

    ``score`` is the sum of ``token_scores`` (log-probabilities of the generated tokens) over their number to the length penalty;
    ``ended`` is False where the maximum length cut it.
    """

    ids: tuple[int, ...]
    score: float
    token_scores: tuple[float, ...]
    ended: bool


@dataclass(frozen=True)
class Encoding:
    """A text, or a pair of texts, as N tokens.

    ``ids`` are the token ids; ``offsets`` the characters ``(start, end)`` of each token in its text, ``(0, 0)`` for special tokens;
    ``sequence_ids`` 0 for the first text, 1 for the second, -1 for special tokens; ``type_ids`` the token types;
    ``special_tokens_mask`` 1 for the special tokens put around the texts; ``attention_mask`` 0 for padding.

    >>> encoding = Encoding((0, 713, 2), ((0, 0), (0, 4), (0, 0)), (-1, 0, -1), (0, 0, 0), (1, 0, 1), (1, 1, 1))
    >>> len(encoding), encoding
    (3, Encoding(3 tokens: 0 713 2))
    """

    ids: tuple[int, ...]
    offsets: tuple[tuple[int, int], ...]
    sequence_ids: tuple[int, ...]
    type_ids: tuple[int, ...]
    special_tokens_mask: tuple[int, ...]
    attention_mask: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        shown = " ".join(map(str, self.ids[:8])) + (" ..." if len(self.ids) > 8 else "")
        return f"Encoding({len(self.ids)} tokens: {shown})"


@dataclass(frozen=True)
class Progress:
    """How far a call is: ``done`` of ``total`` inputs, ``tokens`` that went through the model (generated ones for a summarizer)."""

    done: int
    total: int
    tokens: int


@dataclass(frozen=True)
class FoundPassage:
    """A stretch ``text[start:end]`` of a document that was found; ``score`` is its cosine with the question, or its part of BM25."""

    text: str
    start: int
    end: int
    score: float


@dataclass(frozen=True)
class SearchResult:
    """A document that was found, with its best passages, the best first."""

    source: str
    score: float
    passages: tuple[FoundPassage, ...]


@dataclass(frozen=True)
class IndexResult:
    """What an index holds now; ``reused`` documents kept the vectors that they had."""

    documents: int
    passages: int
    reused: int
