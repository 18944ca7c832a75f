"""Long documents in, text out."""
from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ._calls import Plan, awaitable, blocking
from ._errors import InputError
from ._options import GenerationOptions, GlobalTokens, TaskOptions, task_options
from ._results import Summary
from ._streams import astreamed, streamed
from ._tasks import BoxedTask
from ._texts import texts
from ._watch import ProgressArgument, Watch, watched

if TYPE_CHECKING:
    from ._backend import NativeSummarizer

__all__ = ["Summarizer"]


class Summarizer(BoxedTask["NativeSummarizer"]):
    """Generation with an LED. Options that are not given come from the checkpoint; the first token is global.

    >>> document = "A long story about windows and global tokens. " * 10
    >>> with lf.Summarizer.load(models / "summarizer") as led:
    ...     pieces = []
    ...     text = led.summarize(document, beams=2, max_tokens=12, on_token=pieces.append)
    >>> "".join(pieces) == text
    True
    """

    _kind = "Summarizer"

    def _summarize(
        self,
        /,
        document: str | Sequence[str],
        options: GenerationOptions | None = None,
        *,
        on_token: Callable[[str], Any] | None = None,
        truncate: bool = False,
        global_tokens: GlobalTokens = None,
        tokens_per_batch: int = 8192,
        progress: ProgressArgument = None,
        **generation: Any,
    ) -> Plan[Any]:
        """The best text for a document, or for each of several.

        Args:
            document: One text or several.
            options: How to generate; the keywords of ``GenerationOptions`` (``beams=4, max_tokens=256, ...``) may be given here as well
                and come before it.
            on_token: Called with the text piece by piece, as soon as each is settled, on the thread that works; the pieces together are the result. One
                document only.
            truncate: Cut a document at ``max_tokens``.
            global_tokens: None (the first token), ``"none"``, ``"first"`` or token positions.
            tokens_per_batch: How many tokens go through the encoder at once.
            progress: True for a tqdm bar, or a function that gets a ``Progress`` after every token.

        Returns:
            A str, or a list of str.

        Raises:
            InputError: A document is empty or too long, or the options are impossible.
        """
        watch, after = watched(progress, "document", on_token)
        call = self._summarizing(document, options, generation, task_options(truncate, global_tokens, tokens_per_batch), watch)

        def best(native: NativeSummarizer) -> Any:
            found = [results[0].text for results in call(native)]
            return found[0] if isinstance(document, str) else found

        return watch, best, after

    summarize, asummarize = blocking(_summarize), awaitable(_summarize)

    def _summarize_all(
        self,
        /,
        documents: Sequence[str],
        options: GenerationOptions | None = None,
        *,
        truncate: bool = False,
        global_tokens: GlobalTokens = None,
        tokens_per_batch: int = 8192,
        progress: ProgressArgument = None,
        **generation: Any,
    ) -> Plan[list[list[Summary]]]:
        """All results (``n_best``) for every document, of a beam search best first, with their tokens and scores.

        >>> with lf.Summarizer.load(models / "summarizer") as led:
        ...     [[first, second]] = led.summarize_all(["A long story."], beams=3, n_best=2, max_tokens=8)
        >>> first.score >= second.score, len(first.ids) <= 9
        (True, True)
        """
        watch, after = watched(progress, "document")
        given = texts(documents, "documents")
        call = self._summarizing(given, options, generation, task_options(truncate, global_tokens, tokens_per_batch), watch)
        return watch, call, after

    summarize_all = blocking(_summarize_all)

    def stream(self, document: str, options: GenerationOptions | None = None, **keywords: Any) -> Iterator[str]:
        """The text for one document piece by piece; leaving the loop early stops the work. Keywords as ``summarize`` has them.

        >>> with lf.Summarizer.load(models / "summarizer") as led:
        ...     "".join(led.stream("A long story.", max_tokens=5)) == led.summarize("A long story.", max_tokens=5)
        True
        """
        return streamed(self, lambda put: self._streaming(document, options, keywords, put))

    def astream(self, document: str, options: GenerationOptions | None = None, **keywords: Any) -> AsyncIterator[str]:
        """``stream`` for ``async for``."""
        return astreamed(self, lambda put: self._streaming(document, options, keywords, put))

    def _streaming(
        self, document: str, options: GenerationOptions | None, keywords: dict[str, Any], put: Callable[[Any], Any]
    ) -> tuple[Watch, Callable[[NativeSummarizer], Any]]:
        if not isinstance(document, str):
            raise InputError(f"document: expected a str, given {type(document).__name__}")
        task = TaskOptions(**{name: keywords.pop(name) for name in ("truncate", "global_tokens", "tokens_per_batch") if name in keywords})
        watch = Watch.reporting(None, put)
        return watch, self._summarizing(document, options, keywords, task, watch)

    @staticmethod
    def _summarizing(
        document: str | Sequence[str], options: GenerationOptions | None, keywords: dict[str, Any], task: TaskOptions, watch: Watch
    ) -> Callable[[NativeSummarizer], list[list[Summary]]]:
        given = texts(document, "document")
        if watch.on_token is not None and not isinstance(document, str):
            raise InputError(f"on_token: streams one document, given {len(given)}; call stream for each")
        try:
            chosen = replace(options or GenerationOptions(), **keywords)
        except TypeError as e:
            raise InputError(f"summarize: {e}") from None
        return lambda native: native.summarize(given, chosen, task, watch)
