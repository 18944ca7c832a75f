"""One running call: stopping it, and reporting its progress.

Python delivers Ctrl-C to the main thread, between two bytecodes. A native call that polls a ``CancelPoll`` runs such bytecodes now and then. A
call that does not poll, or that runs callbacks of the user (whose first instruction would lose Ctrl-C), runs on a helper thread while the
main thread waits. Calls from other threads run on those threads, which get no signals."""
from __future__ import annotations

import asyncio
import os
import queue
import sys
import threading
from collections.abc import Callable, Generator
from typing import Any, TypeVar, Union

from ._results import Progress

__all__ = ["CancelPoll", "ProgressArgument", "Watch", "watched"]

N = TypeVar("N")
T = TypeVar("T")
ProgressArgument = Union[bool, Callable[[Progress], None], None]


class Watch:
    """The state of one call: whether to stop it, and which callbacks to run. An exception of a callback stops the call and is raised."""

    # Class attributes, since most calls set none of them.
    progress: Callable[[Progress], None] | None = None
    on_token: Callable[[str], Any] | None = None
    reports = False
    error: BaseException | None = None
    stopped = False
    _on_stop: Callable[[], None] | None = None

    @classmethod
    def reporting(cls, progress: Callable[[Progress], None] | None, on_token: Callable[[str], Any] | None) -> Watch:
        """Returns a watch that runs these callbacks."""
        watch = cls()
        watch.progress, watch.on_token = progress, on_token
        watch.reports = progress is not None or on_token is not None
        return watch

    def stop(self) -> None:
        """Ends the call at its next step. Any thread may call this."""
        self.stopped = True
        on_stop, self._on_stop = self._on_stop, None
        if on_stop is not None:
            on_stop()

    def when_stopped(self, action: Callable[[], None] | None) -> None:
        """Sets the function that ends the call where the native side does not poll."""
        self._on_stop = action
        if self.stopped:
            self.stop()

    def report(self, done: int, total: int, tokens: int) -> None:
        self._call(self.progress, Progress(done, total, tokens))

    def token(self, text: str) -> None:
        self._call(self.on_token, text)

    def _call(self, function: Callable[[Any], Any] | None, value: Any) -> None:
        if function is None or self.stopped:
            return
        try:
            function(value)
        except BaseException as e:  # noqa: BLE001 - it must not cross native frames; run raises it again
            self.error = e
            self.stop()

    def run(self, call: Callable[[N], T], native: N, polls: bool) -> T:
        """Returns what the call returns. Raises the error of a callback, the call's own error, or KeyboardInterrupt.

        Args:
            call: Called with the native object.
            native: The native object.
            polls: Whether the native side polls a ``CancelPoll``.
        """
        if (self.reports or not polls) and threading.current_thread() is threading.main_thread():
            return _helper().run(self, lambda: self.run(call, native, polls))
        try:
            result = call(native)
        except Exception:
            if self.error is not None:
                raise self.error from None
            raise
        if self.error is not None:
            raise self.error
        return result

    async def run_async(self, call: Callable[[N], T], native: N) -> T:
        """Runs the call on a thread of the event loop's pool. Cancelling the task stops the call and waits for its end."""
        future = asyncio.get_running_loop().run_in_executor(None, lambda: self.run(call, native, True))
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            self.stop()
            await asyncio.wait([future])
            if not future.cancelled():
                future.exception()  # seen, so that the loop does not complain
            raise


class CancelPoll:
    """Says to native code in the middle of a call whether to stop: ``send``, with one argument, returns 1 when ``watch`` is to end.

    ``send`` belongs to a generator, which resumes inside a ``try``. Python raises the exception of a signal handler at the first instruction that
    runs next, so the ``try`` catches it. Nothing could catch it at the first instruction of a function.
    """

    def __init__(self, watch: Watch | None = None) -> None:
        self.watch = watch
        polled = self._polled()
        next(polled)
        self.send: Callable[[Any], int] = polled.send

    def _polled(self) -> Generator[int, Any, None]:
        while True:
            try:
                yield int(self.watch is not None and self.watch.stopped)
            except GeneratorExit:
                raise
            except BaseException as e:  # noqa: BLE001 - raised again by run
                if self.watch is not None:
                    self.watch.error, self.watch.stopped = e, True


class _Helper:
    """A thread that runs calls for the main thread."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self._calls: queue.SimpleQueue[tuple[Callable[[], Any], _Outcome]] = queue.SimpleQueue()
        threading.Thread(target=self._work, name="longformer_interop", daemon=True).start()

    def run(self, watch: Watch, call: Callable[[], T]) -> T:
        outcome = _Outcome()
        struck: BaseException | None = None
        while not outcome.ended:
            try:
                # After an exception between the two lines the call is queued again, and the helper thread skips it.
                if not outcome.given:
                    self._calls.put((call, outcome))
                    outcome.given = True
                # .NET's signal handler restarts a wait that Ctrl-C interrupts, so this waits in short pieces.
                while not outcome.ended:
                    outcome.done.acquire(timeout=0.1)
            except BaseException as e:  # noqa: BLE001 - raised again below
                # Ctrl-C, or the exception of another signal handler. The call ends first, so that it leaves nothing behind. The exception
                # may come just after the lock was taken, so the loop looks at ``ended`` and not at the lock.
                struck = struck or e
                watch.stop()
        if struck is not None:
            raise struck
        if outcome.error is not None:
            error, outcome.error = outcome.error, None
            raise error
        return outcome.result  # type: ignore[no-any-return]

    def _work(self) -> None:
        while True:
            call, outcome = self._calls.get()
            if outcome.ended:
                continue
            try:
                outcome.result = call()
            except BaseException as e:  # noqa: BLE001 - raised again by the waiting thread
                outcome.error = e
            del call
            outcome.ended = True
            outcome.done.release()
            del outcome


class _Outcome:
    __slots__ = ("done", "ended", "error", "given", "result")

    def __init__(self) -> None:
        #: Whether the call is queued for the helper thread, and whether it is done.
        self.given = self.ended = False
        #: Wakes the waiting thread.
        self.done = threading.Lock()
        self.done.acquire()
        self.error: BaseException | None = None
        self.result: Any = None


_the_helper: _Helper | None = None


def _helper() -> _Helper:
    global _the_helper
    # A forked child has the object but not the thread.
    if _the_helper is None or _the_helper.process != os.getpid():
        _the_helper = _Helper()
    return _the_helper


class _Bar:
    """A tqdm bar. Made at the first report, so that a call that fails at once shows none."""

    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._bar: Any = None

    def __call__(self, p: Progress) -> None:
        if self._bar is None:
            from tqdm.auto import tqdm

            self._bar = tqdm(total=p.total, unit=self._unit, file=sys.stderr)
        self._bar.update(p.done - self._bar.n)
        self._bar.set_postfix(tokens=p.tokens)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


def watched(
    progress: ProgressArgument, unit: str, on_token: Callable[[str], Any] | None = None
) -> tuple[Watch, Callable[[], None] | None]:
    """Returns a watch for the argument ``progress`` of a call, and a function to run after the call or None."""
    if progress is None and on_token is None:
        return Watch(), None
    if progress is True:
        try:
            import tqdm.auto  # noqa: F401
        except ImportError:
            return Watch.reporting(None, on_token), None
        bar = _Bar(unit)
        return Watch.reporting(bar, on_token), bar.close
    return Watch.reporting(progress or None, on_token), None
