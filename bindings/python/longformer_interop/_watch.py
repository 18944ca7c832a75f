"""One running call: how it is stopped, and whom it tells how far it is.

Python delivers Ctrl-C to the main thread, between two bytecodes. A native call that asks an ``Asker`` now and then gives it the occasion. Where
it does not ask, or tells callbacks of the user (in whose first instruction Ctrl-C would be lost), the call runs on a helper thread
while the main thread waits. Calls from other threads run where they are: they get no signals."""
from __future__ import annotations

import asyncio
import os
import queue
import sys
import threading
from collections.abc import Callable, Generator
from typing import Any, TypeVar, Union

from ._results import Progress

__all__ = ["Asker", "ProgressArgument", "Watch", "watched"]

N = TypeVar("N")
T = TypeVar("T")
ProgressArgument = Union[bool, Callable[[Progress], None], None]


class Watch:
    """Asked by the native side whether to go on, and told what happens. An exception of a callback stops the call and is raised."""

    # Of the class until something else is set, which for most calls nothing is.
    progress: Callable[[Progress], None] | None = None
    on_token: Callable[[str], Any] | None = None
    tells = False
    error: BaseException | None = None
    stopped = False
    _on_stop: Callable[[], None] | None = None

    @classmethod
    def telling(cls, progress: Callable[[Progress], None] | None, on_token: Callable[[str], Any] | None) -> Watch:
        """One that tells these how the call goes on."""
        watch = cls()
        watch.progress, watch.on_token = progress, on_token
        watch.tells = progress is not None or on_token is not None
        return watch

    def stop(self) -> None:
        """Ends the call at its next step. From any thread."""
        self.stopped = True
        told, self._on_stop = self._on_stop, None
        if told is not None:
            told()

    def when_stopped(self, action: Callable[[], None] | None) -> None:
        """What ends the call where the native side does not ask by itself."""
        self._on_stop = action
        if self.stopped:
            self.stop()

    def report(self, done: int, total: int, tokens: int) -> None:
        self._tell(self.progress, Progress(done, total, tokens))

    def token(self, text: str) -> None:
        self._tell(self.on_token, text)

    def _tell(self, told: Callable[[Any], Any] | None, value: Any) -> None:
        if told is None or self.stopped:
            return
        try:
            told(value)
        except BaseException as e:  # noqa: BLE001 - it must not cross native frames; run raises it again
            self.error = e
            self.stop()

    def run(self, call: Callable[[N], T], native: N, asks: bool) -> T:
        """What the call makes of the native object; its own error, or that of a callback, which comes first, or KeyboardInterrupt.

        ``asks``: the native side asks an ``Asker`` by itself.
        """
        if (self.tells or not asks) and threading.current_thread() is threading.main_thread():
            return _helper().run(self, lambda: self.run(call, native, asks))
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
        """As ``run`` on a thread of the event loop's pool; cancelling the task stops the call and waits for its end."""
        future = asyncio.get_running_loop().run_in_executor(None, lambda: self.run(call, native, True))
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            self.stop()
            await asyncio.wait([future])
            if not future.cancelled():
                future.exception()  # seen, so that the loop does not complain
            raise


class Asker:
    """What native code asks in the middle of a call whether to stop: ``send``, of one argument, gives 1 when ``watch`` is to end.

    It is the ``send`` of a generator, since that resumes inside its ``try``: an exception of a signal handler, which Python raises at the first
    instruction of whatever it runs, is caught there. At the first instruction of a function nothing could catch it.
    """

    def __init__(self, watch: Watch | None = None) -> None:
        self.watch = watch
        asked = self._asked()
        next(asked)
        self.send: Callable[[Any], int] = asked.send

    def _asked(self) -> Generator[int, Any, None]:
        while True:
            try:
                yield int(self.watch is not None and self.watch.stopped)
            except GeneratorExit:
                raise
            except BaseException as e:  # noqa: BLE001 - raised again by run
                if self.watch is not None:
                    self.watch.error, self.watch.stopped = e, True


class _Helper:
    """The thread that runs the main thread's calls."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self._calls: queue.SimpleQueue[tuple[Callable[[], Any], _Outcome]] = queue.SimpleQueue()
        threading.Thread(target=self._work, name="longformer_interop", daemon=True).start()

    def run(self, watch: Watch, call: Callable[[], T]) -> T:
        outcome = _Outcome()
        struck: BaseException | None = None
        while not outcome.ended:
            try:
                # An exception between the two lines has the call given again, which the helper thread then passes over.
                if not outcome.given:
                    self._calls.put((call, outcome))
                    outcome.given = True
                # .NET's own signal handler restarts a wait that Ctrl-C interrupts, so the wait is cut into pieces.
                while not outcome.ended:
                    outcome.done.acquire(timeout=0.1)
            except BaseException as e:  # noqa: BLE001 - raised again below
                # Ctrl-C, or the exception of another signal handler: the call ends first, so that nothing of it is left behind. It may
                # strike just when the lock was got, so that what ends the wait is not the lock but what was written before its release.
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
        #: Whether the helper thread was given the call, and whether it is through with it.
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
    """A tqdm bar, made at the first report, so that a call that fails at once shows none."""

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
    """A watch for the argument ``progress`` of a call, and what is to be done after the call."""
    if progress is None and on_token is None:
        return Watch(), None
    if progress is True:
        try:
            import tqdm.auto  # noqa: F401
        except ImportError:
            return Watch.telling(None, on_token), None
        bar = _Bar(unit)
        return Watch.telling(bar, on_token), bar.close
    return Watch.telling(progress or None, on_token), None
