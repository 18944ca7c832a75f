"""The tasks. Every class is loaded from a checkpoint folder, is a context manager, and may be used by many threads at once.

The examples run on checkpoints with seeded random weights (the tests make them), so what they find is arbitrary, yet always the same."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, cast, overload

from ._errors import InputError
from ._loaded import Loaded
from ._options import GlobalTokens, TaskOptions, _one_of, task_options
from ._results import Answer, ChoiceScore, Entity, FilledMask, LabelScore
from ._texts import one_text, texts
from ._tokenizer import Tokenizer
from ._watch import ProgressArgument, Watch, nothing, watched

if TYPE_CHECKING:
    import numpy as np

    from ._door import NativeAnswerer, NativeChooser, NativeClassifier, NativeEncoder, NativeFiller, NativeTagger

__all__ = ["DocumentEncoder", "MaskFiller", "MultipleChoice", "QuestionAnswerer", "TextClassifier", "TokenClassifier"]

N = TypeVar("N")
T = TypeVar("T")


class Task(Loaded[N], Generic[N]):
    """What the tasks share."""

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

    def _run(self, watch: Watch, after: Callable[[], None], call: Callable[[N], T]) -> T:
        with self._use() as native:
            try:
                return watch.run(lambda: call(native), native.asks)  # type: ignore[attr-defined]
            finally:
                after()

    async def _arun(self, watch: Watch, after: Callable[[], None], call: Callable[[N], T]) -> T:
        with self._use() as native:
            try:
                return await watch.run_async(lambda: call(native))
            finally:
                after()

    def _describe(self) -> str:
        return f", {self.max_tokens} tokens" if self.max_tokens else ""


class DocumentEncoder(Task["NativeEncoder"]):
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

    # fmt: off
    @overload
    def encode(  # type: ignore[misc]
        self, documents: str, pooling: str = ..., *, normalize: bool = ..., truncate: bool = ..., global_tokens: GlobalTokens = ...,
        tokens_per_batch: int = ..., progress: ProgressArgument = ...,
    ) -> np.ndarray: ...
    @overload
    def encode(
        self, documents: Sequence[str], pooling: Literal["mean", "cls"] = ..., *, normalize: bool = ..., truncate: bool = ..., global_tokens: GlobalTokens = ...,
        tokens_per_batch: int = ..., progress: ProgressArgument = ...,
    ) -> np.ndarray: ...
    @overload
    def encode(
        self, documents: Sequence[str], pooling: Literal["tokens"], *, normalize: bool = ..., truncate: bool = ..., global_tokens: GlobalTokens = ...,
        tokens_per_batch: int = ..., progress: ProgressArgument = ...,
    ) -> list[np.ndarray]: ...
    # fmt: on
    def encode(
        self,
        documents: str | Sequence[str],
        pooling: str = "mean",
        *,
        normalize: bool = False,
        truncate: bool = False,
        global_tokens: GlobalTokens = None,
        tokens_per_batch: int = 8192,
        progress: ProgressArgument = None,
    ) -> Any:
        """Encodes N documents of any number and unequal lengths; nothing is padded.

        Args:
            documents: The texts, or one text.
            pooling: ``"mean"`` over all tokens (the special ones included, as sentence-transformers does), ``"cls"`` (the first token)
                or ``"tokens"`` (no pooling).
            normalize: Scale every vector to length 1.
            truncate: Cut a document at ``max_tokens``; without it a longer one is refused.
            global_tokens: None (the first token for ``"cls"``, else none), ``"none"``, ``"first"`` or token positions.
            tokens_per_batch: How many tokens go through the model at once.
            progress: True for a tqdm bar, or a function that is told a ``Progress`` after every batch.

        Returns:
            float32 [N, C], or [C] for one text; with ``"tokens"`` a list of N arrays [T, C], or one array.

        Raises:
            InputError: A document is empty or too long; the message names it.
        """
        watch, after = watched(progress, "document")
        return self._run(watch, after, self._encoding(documents, pooling, normalize, task_options(truncate, global_tokens, tokens_per_batch), watch))

    async def aencode(
        self,
        documents: str | Sequence[str],
        pooling: str = "mean",
        *,
        normalize: bool = False,
        truncate: bool = False,
        global_tokens: GlobalTokens = None,
        tokens_per_batch: int = 8192,
        progress: ProgressArgument = None,
    ) -> Any:
        """``encode`` without blocking the event loop; cancelling the task stops the work."""
        watch, after = watched(progress, "document")
        call = self._encoding(documents, pooling, normalize, task_options(truncate, global_tokens, tokens_per_batch), watch)
        return await self._arun(watch, after, call)

    @staticmethod
    def _encoding(documents: str | Sequence[str], pooling: str, normalize: bool, task: TaskOptions, watch: Watch) -> Callable[[NativeEncoder], Any]:
        _one_of("pooling", pooling, ("cls", "mean", "tokens"))
        given = texts(documents, "documents")
        if isinstance(documents, str):
            return lambda native: native.encode(given, pooling, normalize, task, watch)[0]
        return lambda native: native.encode(given, pooling, normalize, task, watch)

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

    def answer(
        self,
        question: str,
        document: str,
        top: int = 1,
        *,
        max_answer_tokens: int = 30,
        overlap: int = 128,
        truncate: bool = False,
        global_tokens: GlobalTokens = None,
        tokens_per_batch: int = 8192,
    ) -> list[Answer]:
        """The ``top`` spans of the document that answer the question best, best first.

        Args:
            question: The question.
            document: The document, of any length.
            top: How many answers at most.
            max_answer_tokens: The longest answer.
            overlap: Tokens that neighboring windows share.
            truncate: Read the first window only.
            global_tokens: None (the question), ``"none"``, ``"first"`` or token positions.
            tokens_per_batch: How many tokens go through the model at once.

        Raises:
            InputError: A text is empty, or the question leaves no room for the document.
        """
        watch = Watch()
        task = task_options(truncate, global_tokens, tokens_per_batch)
        return self._run(watch, nothing, self._answering(question, document, top, max_answer_tokens, overlap, task, watch))

    async def aanswer(
        self,
        question: str,
        document: str,
        top: int = 1,
        *,
        max_answer_tokens: int = 30,
        overlap: int = 128,
        truncate: bool = False,
        global_tokens: GlobalTokens = None,
        tokens_per_batch: int = 8192,
    ) -> list[Answer]:
        """``answer`` without blocking the event loop."""
        watch = Watch()
        task = task_options(truncate, global_tokens, tokens_per_batch)
        return await self._arun(watch, nothing, self._answering(question, document, top, max_answer_tokens, overlap, task, watch))

    @staticmethod
    def _answering(
        question: str, document: str, top: int, longest: int, overlap: int, task: TaskOptions, watch: Watch
    ) -> Callable[[NativeAnswerer], list[Answer]]:
        q, d = one_text(question, "question"), one_text(document, "document")
        return lambda native: native.answer(q, d, top, longest, overlap, task, watch)


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

    def classify(
        self,
        documents: str | Sequence[str],
        *,
        truncate: bool = False,
        global_tokens: GlobalTokens = None,
        tokens_per_batch: int = 8192,
        progress: ProgressArgument = None,
    ) -> Any:
        """All labels of every document, best first (for regression in the checkpoint's order).

        Returns:
            A list of N lists of ``LabelScore``, or one list for one text.

        Raises:
            InputError: A document is empty or too long; the message names it.
        """
        watch, after = watched(progress, "document")
        return self._run(watch, after, self._classifying(documents, task_options(truncate, global_tokens, tokens_per_batch), watch))

    async def aclassify(
        self,
        documents: str | Sequence[str],
        *,
        truncate: bool = False,
        global_tokens: GlobalTokens = None,
        tokens_per_batch: int = 8192,
        progress: ProgressArgument = None,
    ) -> Any:
        """``classify`` without blocking the event loop."""
        watch, after = watched(progress, "document")
        return await self._arun(watch, after, self._classifying(documents, task_options(truncate, global_tokens, tokens_per_batch), watch))

    @staticmethod
    def _classifying(documents: str | Sequence[str], task: TaskOptions, watch: Watch) -> Callable[[NativeClassifier], list[Any]]:
        given = texts(documents, "documents")
        one = isinstance(documents, str)

        def call(native: NativeClassifier) -> list[LabelScore] | list[list[LabelScore]]:
            scores = native.classify(given, task, watch)
            return scores[0] if one else scores

        return call


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

    def tag(self, text: str, *, aggregation: str = "simple", truncate: bool = False, global_tokens: GlobalTokens = None) -> list[Entity]:
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
        watch = Watch()
        return self._run(watch, nothing, self._tagging(text, aggregation, task_options(truncate, global_tokens), watch))

    async def atag(self, text: str, *, aggregation: str = "simple", truncate: bool = False, global_tokens: GlobalTokens = None) -> list[Entity]:
        """``tag`` without blocking the event loop."""
        watch = Watch()
        return await self._arun(watch, nothing, self._tagging(text, aggregation, task_options(truncate, global_tokens), watch))

    @staticmethod
    def _tagging(text: str, aggregation: str, task: TaskOptions, watch: Watch) -> Callable[[NativeTagger], list[Entity]]:
        _one_of("aggregation", aggregation, ("none", "simple", "first", "average", "max"))
        given = one_text(text, "text")
        return lambda native: native.tag(given, aggregation, task, watch)


class MultipleChoice(Task["NativeChooser"]):
    """Which of several texts fits a document best. Everything after the document is global.

    >>> with lf.MultipleChoice.load(models / "chooser") as chooser:
    ...     scores = chooser.choose("A story.", ["One end.", "Another end."], question="How does it end?")
    >>> sorted(s.index for s in scores), scores[0].score >= scores[1].score
    ([0, 1], True)
    """

    _kind = "MultipleChoice"

    def choose(
        self, document: str, choices: Sequence[str], question: str | None = None, *, truncate: bool = False, global_tokens: GlobalTokens = None
    ) -> list[ChoiceScore]:
        """All choices, best first. ``question`` is put in front of every choice; ``truncate`` cuts the document, never a choice.

        Raises:
            InputError: A text is empty or too long, or there are fewer than two choices.
        """
        watch = Watch()
        return self._run(watch, nothing, self._choosing(document, choices, question, task_options(truncate, global_tokens), watch))

    async def achoose(
        self, document: str, choices: Sequence[str], question: str | None = None, *, truncate: bool = False, global_tokens: GlobalTokens = None
    ) -> list[ChoiceScore]:
        """``choose`` without blocking the event loop."""
        watch = Watch()
        return await self._arun(watch, nothing, self._choosing(document, choices, question, task_options(truncate, global_tokens), watch))

    @staticmethod
    def _choosing(
        document: str, choices: Sequence[str], question: str | None, task: TaskOptions, watch: Watch
    ) -> Callable[[NativeChooser], list[ChoiceScore]]:
        if isinstance(choices, str):
            raise InputError("choices: expected a sequence of at least 2 texts, given one str")
        d, c = one_text(document, "document"), texts(choices, "choices")
        return lambda native: native.choose(d, c, question, task, watch)


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

    def fill(self, text: str, top: int = 5, *, truncate: bool = False, global_tokens: GlobalTokens = None) -> list[FilledMask]:
        """The masks of one text, in its order, each with its ``top`` likeliest tokens.

        Raises:
            InputError: The text is empty, too long or holds no mask.
        """
        watch = Watch()
        return self._run(watch, nothing, self._filling(text, top, task_options(truncate, global_tokens), watch))

    async def afill(self, text: str, top: int = 5, *, truncate: bool = False, global_tokens: GlobalTokens = None) -> list[FilledMask]:
        """``fill`` without blocking the event loop."""
        watch = Watch()
        return await self._arun(watch, nothing, self._filling(text, top, task_options(truncate, global_tokens), watch))

    @staticmethod
    def _filling(text: str, top: int, task: TaskOptions, watch: Watch) -> Callable[[NativeFiller], list[FilledMask]]:
        given = one_text(text, "text")
        return lambda native: native.fill(given, top, task, watch)
