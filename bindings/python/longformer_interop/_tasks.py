"""The tasks. Every class is loaded from a checkpoint folder, is a context manager, and may be used by many threads at once.

The examples run on checkpoints with seeded random weights (the tests make them), so what they find is arbitrary, yet always the same."""
from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, cast, overload

from ._calls import Plan, awaitable, blocking
from ._errors import InputError
from ._loaded import Loaded
from ._options import GlobalTokens, LoadOptions, _one_of, task_options
from ._results import Answer, ChoiceScore, Cluster, Entity, FilledMask, LabelScore
from ._texts import one_text, texts
from ._tokenizer import Tokenizer
from ._watch import ProgressArgument, Watch, watched

if TYPE_CHECKING:
    import numpy as np

    from ._backend import (
        NativeAnswerer, NativeChooser, NativeClassifier, NativeEncoder, NativeFiller, NativeResolver, NativeSpanClassifier, NativeTagger,
    )  # fmt: skip

__all__ = ["CoreferenceResolver", "DocumentEncoder", "MaskFiller", "MultipleChoice", "QuestionAnswerer", "SpanClassifier", "TextClassifier", "TokenClassifier"]

N = TypeVar("N")
S = TypeVar("S", bound="BoxedTask[Any]")


class Task(Loaded[N], Generic[N]):
    """The base of the tasks."""

    @property
    def tokenizer(self) -> Tokenizer:
        """The checkpoint's tokenizer. It lives on its own: closing the task leaves it open."""
        with self._use() as native:
            return Tokenizer._of(self, native.tokenizer())  # type: ignore[attr-defined]

    @property
    def max_tokens(self) -> int:
        """The longest input in tokens, the special tokens included."""
        with self._use() as native:
            return cast(int, native.max_tokens)  # type: ignore[attr-defined]

    def _describe(self) -> str:
        return f", {self.max_tokens} tokens" if self.max_tokens else ""


class BoxedTask(Task[N], Generic[N]):
    """A task that the model in the box serves where no folder is named."""

    @classmethod
    def load(
        cls: type[S],
        folder: str | os.PathLike[str] | None = None,
        *,
        device: str = "cpu",
        dtype: str | None = None,
        attention: str = "fused",
        options: LoadOptions | None = None,
    ) -> S:
        """Loads a checkpoint folder; without one the model in the box, or the one that ``LONGFORMER_DEFAULT_MODEL`` names.

        The other arguments and what is raised are those of the other classes' ``load``. ``CheckpointError`` lists where it looked for the
        model in the box, if there is none.
        """
        chosen = options if options is not None else LoadOptions(device, dtype, attention)
        path = None if folder is None else os.fspath(folder)
        return cls(cls._get_backend().load(cls._kind, path, chosen), path, chosen)


class DocumentEncoder(BoxedTask["NativeEncoder"]):
    """Turns documents into vectors.

    >>> with lf.DocumentEncoder.load(models / "encoder") as encoder:
    ...     vectors = encoder.encode(["A short text.", "A longer one, " * 50], pooling="mean")
    >>> vectors.shape, vectors.dtype
    ((2, 64), dtype('float32'))
    """

    _kind = "DocumentEncoder"

    @property
    def hidden_size(self) -> int:
        """C, the width of a vector."""
        with self._use() as native:
            return native.hidden_size

    def _encode(
        self,
        documents: str | Sequence[str],
        pooling: str | None = None,
        *,
        normalize: bool | None = None,
        prompt_name: str | None = None,
        truncate: bool = False,
        global_tokens: GlobalTokens = None,
        tokens_per_batch: int = 8192,
        progress: ProgressArgument = None,
    ) -> Plan[Any]:
        """Encodes N documents of any number and unequal lengths; nothing is padded.

        Args:
            documents: The texts, or one text.
            pooling: ``"mean"`` over all tokens (the special ones included, as sentence-transformers does), ``"cls"`` (the first token)
                or ``"tokens"`` (no pooling); None, or ``"sentence"``: as sentence-transformers wrote into the folder, else ``"mean"``.
            normalize: Scale every vector to length 1; None: as sentence-transformers wrote into the folder, else not.
            prompt_name: A prompt of a folder of sentence-transformers, put before every document; None: the folder's default.
            truncate: Cut a document at ``max_tokens``; without it a longer one is refused.
            global_tokens: None (the first token for ``"cls"``, else none), ``"none"``, ``"first"`` or token positions.
            tokens_per_batch: How many tokens go through the model at once.
            progress: True for a tqdm bar, or a function that gets a ``Progress`` after every batch.

        Returns:
            float32 [N, C], or [C] for one text; with ``"tokens"`` a list of N arrays [T, C], or one array.

        Raises:
            InputError: A document is empty or too long; the message names it.
        """
        if pooling is not None:
            _one_of("pooling", pooling, ("cls", "mean", "tokens", "sentence"))
        given, task = texts(documents, "documents"), task_options(truncate, global_tokens, tokens_per_batch)
        watch, after = watched(progress, "document")

        def call(native: NativeEncoder) -> Any:
            vectors = native.encode(given, pooling, normalize, prompt_name, task, watch)
            return vectors[0] if isinstance(documents, str) else vectors

        return watch, call, after

    if TYPE_CHECKING:
        # fmt: off
        @overload
        def encode(  # type: ignore[misc]
            self, documents: str, pooling: str | None = ..., *, normalize: bool | None = ..., prompt_name: str | None = ..., truncate: bool = ..., global_tokens: GlobalTokens = ...,
            tokens_per_batch: int = ..., progress: ProgressArgument = ...,
        ) -> np.ndarray: ...
        @overload
        def encode(
            self, documents: Sequence[str], pooling: Literal["mean", "cls"] | None = ..., *, normalize: bool | None = ..., prompt_name: str | None = ...,
            truncate: bool = ..., global_tokens: GlobalTokens = ...,
            tokens_per_batch: int = ..., progress: ProgressArgument = ...,
        ) -> np.ndarray: ...
        @overload
        def encode(
            self, documents: Sequence[str], pooling: Literal["tokens"], *, normalize: bool | None = ..., prompt_name: str | None = ...,
            truncate: bool = ..., global_tokens: GlobalTokens = ...,
            tokens_per_batch: int = ..., progress: ProgressArgument = ...,
        ) -> list[np.ndarray]: ...
        def encode(self, documents: Any, pooling: Any = ..., **keywords: Any) -> Any: ...
        # fmt: on
    else:
        encode = blocking(_encode)
    aencode = awaitable(_encode)

    def _describe(self) -> str:
        return f", [{self.hidden_size}] from {self.max_tokens} tokens"


class QuestionAnswerer(Task["NativeAnswerer"]):
    """Extractive question answering. The question is global; a document beyond the model's positions is read in overlapping windows.

    >>> document = "It was written by Miguel de Cervantes. " * 20
    >>> with lf.QuestionAnswerer.load(models / "answerer") as qa:
    ...     best = qa.answer("Who wrote it?", document, top=2)
    >>> len(best), all(document[a.start:a.end] == a.text for a in best), best[0].score >= best[1].score
    (2, True, True)
    """

    _kind = "QuestionAnswerer"

    def _answer(
        self,
        question: str,
        document: str,
        top: int = 1,
        *,
        max_answer_tokens: int = 30,
        overlap: int = 128,
        no_answer: bool = False,
        truncate: bool = False,
        global_tokens: GlobalTokens = None,
        tokens_per_batch: int = 8192,
    ) -> Plan[list[Answer]]:
        """The ``top`` spans of the document that answer the question best, best first.

        Args:
            question: The question.
            document: The document, of any length.
            top: How many answers at most.
            max_answer_tokens: The longest answer.
            overlap: Tokens that neighboring windows share.
            no_answer: "No answer" is an answer too (SQuAD 2, HF's ``handle_impossible_answer``): an empty text from 0 to 0, with its score.
            truncate: Read the first window only.
            global_tokens: None (the question), ``"none"``, ``"first"`` or token positions.
            tokens_per_batch: How many tokens go through the model at once.

        Raises:
            InputError: A text is empty, or the question leaves no room for the document.
        """
        q, d, task = one_text(question, "question"), one_text(document, "document"), task_options(truncate, global_tokens, tokens_per_batch)
        watch = Watch()

        def call(native: NativeAnswerer) -> list[Answer]:
            return native.answer(q, d, top, max_answer_tokens, overlap, no_answer, task, watch)

        return watch, call, None

    answer, aanswer = blocking(_answer), awaitable(_answer)


class TextClassifier(Task["NativeClassifier"]):
    """Classifies documents. The first token is global.

    >>> with lf.TextClassifier.load(models / "classifier") as classifier:
    ...     scores = classifier.classify("I like long documents.")
    >>> sorted(s.label for s in scores), round(sum(s.score for s in scores), 5)
    (['bad', 'fair', 'good'], 1.0)
    """

    _kind = "TextClassifier"

    @property
    def labels(self) -> tuple[str, ...]:
        """Label names in the order of their ids."""
        with self._use() as native:
            return tuple(native.labels)

    @property
    def problem_type(self) -> str:
        """``single_label_classification``, ``multi_label_classification`` or ``regression``."""
        with self._use() as native:
            return native.problem_type

    def _classify(
        self,
        documents: str | Sequence[str],
        *,
        truncate: bool = False,
        global_tokens: GlobalTokens = None,
        tokens_per_batch: int = 8192,
        progress: ProgressArgument = None,
    ) -> Plan[Any]:
        """All labels of every document, best first (for regression in the checkpoint's order).

        Returns:
            A list of N lists of ``LabelScore``, or one list for one text.

        Raises:
            InputError: A document is empty or too long; the message names it.
        """
        given, task = texts(documents, "documents"), task_options(truncate, global_tokens, tokens_per_batch)
        watch, after = watched(progress, "document")

        def call(native: NativeClassifier) -> list[LabelScore] | list[list[LabelScore]]:
            scores = native.classify(given, task, watch)
            return scores[0] if isinstance(documents, str) else scores

        return watch, call, after

    classify, aclassify = blocking(_classify), awaitable(_classify)


class TokenClassifier(Task["NativeTagger"]):
    """Labels the tokens of a text and joins them to entities.

    >>> text = "Ada Lovelace wrote to Charles Babbage."
    >>> with lf.TokenClassifier.load(models / "tagger") as tagger:
    ...     entities = tagger.tag(text, aggregation="none")
    >>> all(text[e.start:e.end] == e.text for e in entities)
    True
    """

    _kind = "TokenClassifier"

    @property
    def labels(self) -> tuple[str, ...]:
        """Label names in the order of their ids."""
        with self._use() as native:
            return tuple(native.labels)

    def _tag(self, text: str, *, aggregation: str = "simple", truncate: bool = False, global_tokens: GlobalTokens = None) -> Plan[list[Entity]]:
        """The entities of one text, in its order.

        Args:
            text: The text.
            aggregation: ``"none"`` (every token, those labeled O too), ``"simple"``, ``"first"``, ``"average"`` or ``"max"``, as in
                transformers' token classification pipeline.
            truncate: Cut the text at ``max_tokens``.
            global_tokens: None or ``"none"``, ``"first"``, or token positions.

        Raises:
            InputError: The text is empty or too long.
        """
        _one_of("aggregation", aggregation, ("none", "simple", "first", "average", "max"))
        given, task, watch = one_text(text, "text"), task_options(truncate, global_tokens), Watch()

        def call(native: NativeTagger) -> list[Entity]:
            return native.tag(given, aggregation, task, watch)

        return watch, call, None

    tag, atag = blocking(_tag), awaitable(_tag)


class MultipleChoice(Task["NativeChooser"]):
    """Which of several texts fits a document best. Everything after the document is global.

    >>> with lf.MultipleChoice.load(models / "chooser") as chooser:
    ...     scores = chooser.choose("A story.", ["One end.", "Another end."], question="How does it end?")
    >>> sorted(s.index for s in scores), scores[0].score >= scores[1].score
    ([0, 1], True)
    """

    _kind = "MultipleChoice"

    def _choose(
        self, document: str, choices: Sequence[str], question: str | None = None, *, truncate: bool = False, global_tokens: GlobalTokens = None
    ) -> Plan[list[ChoiceScore]]:
        """All choices, best first. ``question`` is put in front of every choice; ``truncate`` cuts the document, never a choice.

        Raises:
            InputError: A text is empty or too long, or there are fewer than two choices.
        """
        if isinstance(choices, str):
            raise InputError("choices: expected a sequence of at least 2 texts, given one str")
        d, c, task, watch = one_text(document, "document"), texts(choices, "choices"), task_options(truncate, global_tokens), Watch()

        def call(native: NativeChooser) -> list[ChoiceScore]:
            return native.choose(d, c, question, task, watch)

        return watch, call, None

    choose, achoose = blocking(_choose), awaitable(_choose)


class MaskFiller(Task["NativeFiller"]):
    """Fills the masks of a text, each on its own where there are several.

    >>> with lf.MaskFiller.load(models / "filler") as filler:
    ...     [mask] = filler.fill(f"The {filler.mask_text} is long.", top=3)
    >>> mask.start, mask.end, len(mask.candidates)
    (4, 10, 3)
    """

    _kind = "MaskFiller"

    @property
    def mask_text(self) -> str:
        """How the mask is written in a text, such as ``<mask>``."""
        with self._use() as native:
            return native.mask_text

    def _fill(self, text: str, top: int = 5, *, truncate: bool = False, global_tokens: GlobalTokens = None) -> Plan[list[FilledMask]]:
        """The masks of one text, in its order, each with its ``top`` likeliest tokens.

        Raises:
            InputError: The text is empty, too long or holds no mask.
        """
        given, task, watch = one_text(text, "text"), task_options(truncate, global_tokens), Watch()

        def call(native: NativeFiller) -> list[FilledMask]:
            return native.fill(given, top, task, watch)

        return watch, call, None

    fill, afill = blocking(_fill), awaitable(_fill)


class SpanClassifier(Task["NativeSpanClassifier"]):
    """Classifies given spans of a text: which kind of name, relation or claim they are. No token is global.

    >>> text = "Ada Lovelace wrote to Charles Babbage."
    >>> with lf.SpanClassifier.load(models / "spans") as classifier:
    ...     first, second = classifier.classify(text, [(0, 12), (22, 37)])
    >>> sorted(s.label for s in first), round(sum(s.score for s in second), 5)
    (['ORG', 'PER'], 1.0)
    """

    _kind = "SpanClassifier"

    @property
    def labels(self) -> tuple[str, ...]:
        """Label names in the order of their ids."""
        with self._use() as native:
            return tuple(native.labels)

    def _classify(
        self, text: str, spans: Sequence[tuple[int, int]], *, truncate: bool = False, global_tokens: GlobalTokens = None
    ) -> Plan[list[list[LabelScore]]]:
        """For every span ``text[start:end]`` all labels, best first (for regression in the checkpoint's order).

        Raises:
            InputError: The text is empty or too long, there is no span, or one is outside the text or covers no token.
        """
        given, task, watch = one_text(text, "text"), task_options(truncate, global_tokens), Watch()
        pairs = [(int(start), int(end)) for start, end in spans]

        def call(native: NativeSpanClassifier) -> list[list[LabelScore]]:
            return native.classify_spans(given, pairs, task, watch)

        return watch, call, None

    classify, aclassify = blocking(_classify), awaitable(_classify)


class CoreferenceResolver(Task["NativeResolver"]):
    """Finds the mentions of a text that mean the same. A text of any length is read in one pass.

    >>> with lf.CoreferenceResolver.load(models / "coref") as resolver:
    ...     clusters = resolver.resolve("Ada sang. She smiled. Ada sang again. She smiled again.")
    >>> all(len(cluster.mentions) > 1 for cluster in clusters)
    True
    """

    _kind = "CoreferenceResolver"

    def _resolve(self, text: str, *, genre: str | None = None) -> Plan[list[Cluster]]:
        """The clusters in the order of their first mentions. Words and sentences are found by rules for English.

        ``genre`` is one of the checkpoint's; those of OntoNotes are bc, bn, mz, nw (the default), pt, tc and wb.

        Raises:
            InputError: The text has no word, or the genre is unknown.
        """
        given, watch = one_text(text, "text"), Watch()

        def call(native: NativeResolver) -> list[Cluster]:
            return native.resolve(given, genre, watch)

        return watch, call, None

    resolve, aresolve = blocking(_resolve), awaitable(_resolve)
