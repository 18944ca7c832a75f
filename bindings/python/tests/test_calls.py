"""Calls as such: interruption, asynchronous variants, many threads, what a call costs."""
from __future__ import annotations

import asyncio
import gc
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

PACKAGE = Path(__file__).resolve().parents[1]
DOCUMENT = "The old house stood on the hill. " * 30


def run_script(code: str, *arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=timeout)


def test_keyboard_interrupt_stops_a_long_call(lf, models):
    def strike():
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    with lf.DocumentEncoder.load(models / "encoder") as encoder:
        encoder.encode("warm up")
        timer = threading.Timer(0.3, strike)
        timer.start()
        begin = time.perf_counter()
        with pytest.raises(KeyboardInterrupt):
            encoder.encode([DOCUMENT] * 30000, tokens_per_batch=300)
        took = time.perf_counter() - begin
        timer.join()
        assert took < 20
        assert encoder.encode("still usable").shape == (64,)


def interrupted_early(work) -> bool:
    """Whether Ctrl-C ends the work well before its end, in one of a few attempts: somebody else may use the machine in any of them."""
    for _ in range(5):
        begin = time.perf_counter()
        work()
        took = time.perf_counter() - begin
        timer = threading.Timer(min(took / 8, 0.1), lambda: signal.pthread_kill(threading.main_thread().ident, signal.SIGINT))
        begin = time.perf_counter()
        with pytest.raises(KeyboardInterrupt):
            timer.start()
            work()
            timer.join()  # where the work was over before
        if time.perf_counter() - begin < 0.7 * took:
            return True
        timer.join()
    return False


def test_keyboard_interrupt_stops_one_long_document_within_a_layer(lf, models):
    document = "The old house stood on the hill. " * 800

    with lf.DocumentEncoder.load(models / "deep") as encoder:
        whole = encoder.encode(document, truncate=True)
        assert interrupted_early(lambda: encoder.encode(document, truncate=True))
        np.testing.assert_array_equal(encoder.encode(document, truncate=True), whole)


def test_keyboard_interrupt_stops_a_bare_model(lf, models):
    ids = np.arange(8000).reshape(1, -1) % 1000 + 5

    with lf.load_model(models / "deep") as model:
        model(input_ids=[[5, 6]])
        assert interrupted_early(lambda: model(input_ids=ids))
        assert model(input_ids=[[5, 6]])["last_hidden_state"].shape == (1, 2, 64)


def test_a_call_inside_a_signal_handler_is_a_call_of_its_own(lf, models):
    """The handler runs in the middle of a call of the same thread, and calls the same object."""
    inner = []
    with lf.DocumentEncoder.load(models / "deep") as encoder:
        wanted = encoder.encode("a text")

        def handler(number, frame):
            inner.append(encoder.encode("a text"))

        before = signal.signal(signal.SIGUSR1, handler)
        try:
            timer = threading.Timer(0.05, lambda: signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1))
            timer.start()
            encoder.encode("The old house stood on the hill. " * 800, truncate=True)
            timer.join()
        finally:
            signal.signal(signal.SIGUSR1, before)
    assert len(inner) == 1
    np.testing.assert_array_equal(inner[0], wanted)


def test_keyboard_interrupt_among_short_calls_is_raised_once(lf, models):
    """None of them asks by itself, since none takes long enough."""
    with lf.DocumentEncoder.load(models / "encoder") as encoder:
        wanted = encoder.encode("a text")
        timer = threading.Timer(0.1, lambda: signal.pthread_kill(threading.main_thread().ident, signal.SIGINT))
        begin = time.perf_counter()
        with pytest.raises(KeyboardInterrupt):
            timer.start()
            while time.perf_counter() - begin < 20:
                encoder.encode("a text")
        timer.join()
        assert time.perf_counter() - begin < 10
        np.testing.assert_array_equal(encoder.encode("a text"), wanted)


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_interrupt_while_the_helper_is_waited_for_is_raised_whenever_it_comes(monkeypatch, when):
    """Also just when the wait is over: the call has ended then, and nothing wakes the waiting thread again."""
    from longformer_interop import _watch

    class Lock:
        """Raises once, as Python does for a signal, before the wait or right behind it."""

        def __init__(self, lock):
            self.lock, self.release, self.struck = lock, lock.release, False

        def acquire(self, timeout=20):
            if self.struck:
                assert self.lock.acquire(timeout=timeout) or timeout < 20, "the wait never ends"
                return
            self.struck = True
            if when == "after":
                assert self.lock.acquire(timeout=20)
            raise KeyboardInterrupt

    class Outcome(_watch._Outcome):
        def __init__(self):
            super().__init__()
            self.done = Lock(self.done)

    helper, watch, ended = _watch._Helper(), _watch.Watch(), []
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(_watch, "_Outcome", Outcome)
        helper.run(watch, lambda: (time.sleep(0.1), ended.append(True)))
    assert ended and watch.stopped
    assert helper.run(_watch.Watch(), lambda: "the next call") == "the next call"


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_interrupt_while_the_helper_is_given_the_call_runs_it_once_and_is_raised(monkeypatch, when):
    from longformer_interop import _watch

    class Queue:
        """Raises once, as Python does for a signal, before the first call is put or right behind it."""

        def __init__(self, queue):
            self.queue, self.get, self.struck = queue, queue.get, False

        def put(self, item):
            strike, self.struck = not self.struck, True
            if strike and when == "before":
                raise KeyboardInterrupt
            self.queue.put(item)
            if strike:
                raise KeyboardInterrupt

    helper, watch, runs = _watch._Helper(), _watch.Watch(), []
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(helper, "_calls", Queue(helper._calls))
        helper.run(watch, lambda: runs.append(1))
    assert helper.run(_watch.Watch(), lambda: "the next call") == "the next call"
    assert runs == [1] and watch.stopped


def test_interrupts_at_any_time_leave_no_call_waiting_or_running():
    """One for each of many short calls, at a random time around the end of the wait for it."""
    code = (
        "import random, signal, time\n"
        "from longformer_interop import _watch\n"
        "running = []\n"
        "def call(): running.append(1); running.pop(); return 7\n"
        "class Struck(Exception): pass\n"
        "def handler(number, frame):\n"
        "    if frame is not None and frame.f_code is _watch._Helper.run.__code__: raise Struck\n"
        "signal.signal(signal.SIGALRM, handler)\n"
        "random.seed(0); helper, struck, done = _watch._helper(), 0, 0\n"
        "begin = time.perf_counter()\n"
        "while time.perf_counter() - begin < 3:\n"
        "    try:\n"
        "        signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-6, 1.5e-4))\n"
        "        assert helper.run(_watch.Watch(), call) == 7; done += 1\n"
        "    except Struck: struck += 1; assert not running\n"
        "print(done, struck)\n"
    )
    run = run_script(f"import sys; sys.path.insert(0, {str(PACKAGE)!r})\n" + code, timeout=300)
    assert run.returncode == 0, run
    assert min(map(int, run.stdout.split())) > 100, run


def test_calls_leave_no_handle_behind(models):
    """Results, options and inputs that a call borrows are released, also where the call fails."""
    import ctypes

    import longformer_interop as lf
    from longformer_interop._capi.library import library

    def live():
        handles = ctypes.c_int64()
        library().lf_live(ctypes.byref(handles), None)
        return handles.value

    with lf.DocumentEncoder.load(models / "encoder") as encoder, lf.QuestionAnswerer.load(models / "answerer") as qa, \
            lf.TextClassifier.load(models / "classifier") as classifier, lf.load_model(models / "encoder") as model:  # fmt: skip
        tokenizer = encoder.tokenizer

        def everything():
            encoder.encode(["a", "b"], normalize=True)
            encoder.encode(["a", "b"], "tokens")
            encoder.encode("\udc00", truncate=True)
            qa.answer("Where?", DOCUMENT, top=3)
            classifier.classify(["a", "b"], truncate=True)
            tokenizer.encode_windows(DOCUMENT, max_length=20)
            tokenizer.encode_batch(["a", "b"], padding="longest")
            model(input_ids=[[0, 5, 2]], attention_mask=[[1, 1, 1]])
            for wrong in (lambda: encoder.encode("", normalize=True), lambda: qa.answer("Where?", DOCUMENT, top=0), lambda: tokenizer.decode([-1]),
                          lambda: encoder.encode("a", "middle"), lambda: model(input_ids=[[0, 5, 2]], nonsense=[[1]])):  # fmt: skip
                with pytest.raises(lf.LongformerError):
                    wrong()

        everything()
        gc.collect()  # frees the objects of other tests first
        before = live()
        for _ in range(3):
            everything()
        gc.collect()
        assert live() == before


def test_options_are_told_apart_by_value_and_kind_however_many_there_were(models):
    import longformer_interop as lf

    with lf.QuestionAnswerer.load(models / "answerer") as qa:
        wanted = {top: qa.answer("Where?", DOCUMENT, top=top) for top in range(1, 40)}
        for top in (1, 2, 39, 20):
            assert qa.answer("Where?", DOCUMENT, top=top) == wanted[top] and len(wanted[top]) == top
        with pytest.raises(lf.InputError, match="top.*float"):
            qa.answer("Where?", DOCUMENT, top=2.0)
        assert qa.answer("Where?", DOCUMENT, top=2) == wanted[2]
        for _ in range(2):  # what could not be set is not kept
            with pytest.raises(lf.InputError, match="tokens_per_batch"):
                qa.answer("Where?", DOCUMENT, tokens_per_batch=2**40)
        assert qa.answer("Where?", DOCUMENT, truncate=np.True_) == qa.answer("Where?", DOCUMENT, truncate=True)
        tokenizer = qa.tokenizer
        assert [len(tokenizer.encode(DOCUMENT, max_length=n)) for n in range(5, 40)] == list(range(5, 40))


def test_keyboard_interrupt_stops_generation(lf, models):
    with lf.Summarizer.load(models / "summarizer") as led:
        seen = []

        def on_token(piece):
            if not seen:
                signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
                time.sleep(0.05)
            seen.append(piece)

        with pytest.raises(KeyboardInterrupt):
            led.summarize(DOCUMENT, max_tokens=120, min_tokens=110, on_token=on_token)
        assert len(seen) < 110


def test_the_asynchronous_variants_give_the_same(lf, models):
    async def work():
        with lf.DocumentEncoder.load(models / "encoder") as encoder, lf.QuestionAnswerer.load(models / "answerer") as qa:
            return await asyncio.gather(encoder.aencode([DOCUMENT, "b"]), qa.aanswer("Where?", DOCUMENT)), encoder.encode([DOCUMENT, "b"])

    (vectors, answers), wanted = asyncio.run(work())
    np.testing.assert_array_equal(vectors, wanted)
    assert len(answers) == 1


def test_cancelling_a_task_stops_the_work(lf, models):
    async def work():
        with lf.DocumentEncoder.load(models / "encoder") as encoder:
            task = asyncio.create_task(encoder.aencode([DOCUMENT] * 30000, tokens_per_batch=300))
            await asyncio.sleep(0.3)
            begin = time.perf_counter()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return time.perf_counter() - begin

    assert asyncio.run(work()) < 20


def test_eight_threads_get_bit_equal_results_from_one_object(lf, models):
    with lf.DocumentEncoder.load(models / "encoder") as encoder:
        wanted = encoder.encode([DOCUMENT, "b"])
        results = [None] * 8

        def work(i):
            for _ in range(3):
                results[i] = encoder.encode([DOCUMENT, "b"])

        threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    for result in results:
        np.testing.assert_array_equal(result, wanted)


def test_the_gil_is_released(lf, models):
    with lf.DocumentEncoder.load(models / "encoder") as encoder:
        steps, done = 0, threading.Event()

        def work():
            encoder.encode([DOCUMENT] * 200)
            done.set()

        worker = threading.Thread(target=work)
        worker.start()
        while not done.is_set():
            steps += 1
            time.sleep(0.0005)
        worker.join()
    assert steps > 10


def test_closing_while_a_call_runs_lets_it_finish(lf, models):
    encoder = lf.DocumentEncoder.load(models / "encoder")
    result = []
    started = threading.Event()
    worker = threading.Thread(target=lambda: result.append(encoder.encode([DOCUMENT] * 20, tokens_per_batch=300, progress=lambda p: started.set())))
    worker.start()
    started.wait(30)
    encoder.close()
    worker.join()
    assert result[0].shape == (20, 64) and encoder.closed
    encoder.close()


def test_closing_among_many_short_calls_frees_once_and_never_under_a_call():
    import longformer_interop as lf

    class Native:
        closed = 0

        def close(self):
            self.closed += 1

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(100):
            native = Native()
            encoder = lf.DocumentEncoder(native, "folder", lf.LoadOptions())
            broken, started = [], threading.Barrier(5)

            def work():
                started.wait()
                try:
                    while True:
                        with encoder._use() as used:
                            if used.closed:
                                broken.append(used)
                except lf.LongformerError:
                    pass

            threads = [threading.Thread(target=work) for _ in range(4)]
            for t in threads:
                t.start()
            started.wait()
            encoder.close()
            for t in threads:
                t.join()
            encoder.close()
            assert native.closed == 1 and not broken
    finally:
        sys.setswitchinterval(before)


def test_settings_of_the_library(lf):
    before = lf.get_threads()
    lf.set_threads(1)
    assert lf.get_threads() == 1
    lf.set_threads(before)
    with pytest.raises(lf.InputError, match="threads"):
        lf.set_threads(0)
    assert lf.torch_version()[0].isdigit() and lf.library_version() == "0.1.0" and lf.cuda_available() in (True, False)


def test_messages_go_to_logging(lf, models, caplog):
    import logging

    try:
        lf.log_to("longformer_interop", logging.DEBUG)
        with caplog.at_level(logging.DEBUG, "longformer_interop"), lf.DocumentEncoder.load(models / "encoder") as encoder:
            encoder.encode(DOCUMENT * 20, truncate=True)
            assert [(r.name, r.levelname) for r in caplog.records] == [("longformer_interop", "WARNING"), ("longformer_interop", "DEBUG")]
            assert "cut from" in caplog.messages[0] and "512" in caplog.messages[0]
            caplog.clear()
            lf.log_to(logging.getLogger("longformer_interop"), logging.WARNING)
            encoder.encode("A text.")
            encoder.encode(DOCUMENT * 20, truncate=True)
            assert [r.levelname for r in caplog.records] == ["WARNING"]
            caplog.clear()
            lf.log_to(None)
            encoder.encode(DOCUMENT * 20, truncate=True)
            assert not caplog.records
    finally:
        lf.log_to(None)


def test_memory_does_not_grow_by_loading_and_closing(lf, models):
    import resource

    def rounds(n):
        for _ in range(n):
            with lf.DocumentEncoder.load(models / "encoder") as encoder:
                encoder.encode("a text")

    # Until .NET's heap has the size that it keeps.
    rounds(40)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rounds(40)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 * 1024
