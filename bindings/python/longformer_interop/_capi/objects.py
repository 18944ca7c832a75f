"""Handles of the C library as Python objects: tensors, answers, options."""
from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from .._arrays import Borrowed, NativeTensor
from .._dlpack import row_major
from .._options import DEFAULT_TASK, TaskOptions
from .._watch import Asker, Watch
from .library import CANCEL, CODE_POINTS, DTYPES, PROGRESS, TEXT, library, utf8

__all__ = ["Answers", "CTensor", "Options", "borrowed_tensor", "handle", "named_tensors", "number", "static_text"]

_NAMES = {number: name for name, number in DTYPES.items()}


def handle(call: Callable[..., Any], *arguments: Any) -> int:
    """The handle that a function gives through its last parameter."""
    out = ctypes.c_void_p()
    call(*arguments, ctypes.byref(out))
    return out.value or 0


def number(call: Callable[..., Any], *arguments: Any, kind: Any = ctypes.c_int32) -> Any:
    """The number that a function gives through its last parameter."""
    out = kind()
    call(*arguments, ctypes.byref(out))
    return out.value


def static_text(call: Callable[..., Any], *arguments: Any) -> str:
    """Text that the library keeps, through a function's last parameter."""
    out = ctypes.c_char_p()
    call(*arguments, ctypes.byref(out))
    return (out.value or b"").decode("utf-8")


def text_of(pointer: int | None, length: int) -> str:
    return ctypes.string_at(pointer, length).decode("utf-8") if pointer and length else ""


class CTensor:
    """A tensor that the library gave."""

    __slots__ = ("_handle", "address", "device", "dtype", "shape", "strides")

    def __init__(self, handle_: int, shape: tuple[int, ...] | None = None, dtype: str = "float32") -> None:
        """``shape`` (and dtype): what is known of a row-major tensor on the CPU, to save the calls that ask for it."""
        lib = library()
        self._handle = handle_
        self.address: int = handle(lib.lf_tensor_data, handle_)
        if shape is not None:
            self.shape, self.dtype, self.device, self.strides = shape, dtype, "cpu", row_major(shape)
            return
        rank = number(lib.lf_tensor_rank, handle_)
        self.dtype = _NAMES[number(lib.lf_tensor_dtype, handle_)]
        self.shape = _longs(handle(lib.lf_tensor_shape, handle_), rank)
        self.strides = _longs(handle(lib.lf_tensor_strides, handle_), rank)
        self.device = static_text(lib.lf_tensor_device, handle_)

    def to_cpu(self, dtype: str) -> NativeTensor:
        return CTensor(handle(library().lf_tensor_convert, self._handle, DTYPES[dtype], b"cpu"))

    def release(self) -> None:
        given, self._handle = self._handle, 0
        if given:
            library().lf_tensor_free(given)


def _longs(address: int, count: int) -> tuple[int, ...]:
    return tuple((ctypes.c_int64 * count).from_address(address)) if count else ()


@contextmanager
def borrowed_tensor(b: Borrowed | None) -> Iterator[int | None]:
    """A handle over the caller's memory for the time of a call."""
    if b is None:
        yield None
        return
    lib = library()
    rank = len(b.shape)
    shape, strides = (ctypes.c_int64 * max(rank, 1))(*b.shape), (ctypes.c_int64 * max(rank, 1))(*b.strides)
    given = handle(lib.lf_tensor_from_memory, b.address, DTYPES[b.dtype], shape, strides, rank, b.device.encode(), None, None)
    try:
        yield given
    finally:
        lib.lf_tensor_free(given)


def named_tensors(given: int) -> dict[str, NativeTensor]:
    """The tensors behind an lf_tensors handle, which is freed."""
    lib = library()
    try:
        names = [static_text(lib.lf_tensors_name, given, i) for i in range(number(lib.lf_tensors_count, given, kind=ctypes.c_size_t))]
        return {name: CTensor(handle(lib.lf_tensors_get, given, name.encode())) for name in names}
    finally:
        lib.lf_tensors_free(given)


class _Standing(threading.local):
    """Options of a thread that hold nothing but the cancel callback: most calls need no more, and making a callback takes its time."""

    def __init__(self) -> None:
        self._lib = library()
        self.asker = Asker()
        self._callback = CANCEL(self.asker.send)
        self.handle = handle(self._lib.lf_options_create)
        self._lib.lf_options_set_cancel(self.handle, self._callback, None)

    def __del__(self, ending: Callable[[], bool] = sys.is_finalizing) -> None:
        if not ending():
            self._lib.lf_options_free(self.handle)


_standing: _Standing | None = None


def _standing_options() -> _Standing:
    global _standing
    if _standing is None:
        _standing = _Standing()
    return _standing


class Options:
    """lf_options for one call, with its callbacks; a context manager that gives the handle, None where nothing was chosen."""

    __slots__ = ("_borrowed", "_callbacks", "_handle", "_lib", "_watch")

    def __init__(self, task: TaskOptions | None = None, watch: Watch | None = None) -> None:
        self._lib = library()
        self._handle = 0
        self._watch = watch
        self._borrowed: Asker | None = None
        self._callbacks: list[Any] = []
        if task is not None and task is not DEFAULT_TASK:
            if task.truncate:
                self.put("truncate", True)
            self.put("global", task.global_text)
            if task.tokens_per_batch != DEFAULT_TASK.tokens_per_batch:
                self.put("tokens_per_batch", task.tokens_per_batch)

    def put(self, name: str, value: Any) -> None:
        """Sets an option by the kind of its value; None leaves it as it is."""
        if value is None:
            return
        lib, key, own = self._lib, name.encode(), self._own()
        if isinstance(value, (bool, int)):
            lib.lf_options_set_int(own, key, int(value))
        elif isinstance(value, float):
            lib.lf_options_set_float(own, key, value)
        elif isinstance(value, str):
            data = utf8(value, name)
            lib.lf_options_set_text(own, key, data, len(data))
        else:
            values = [int(v) for v in value]
            lib.lf_options_set_ints(own, key, (ctypes.c_int64 * max(len(values), 1))(*values), len(values))

    def put_tensor(self, name: str, given: int | None) -> None:
        if given is not None:
            self._lib.lf_options_set_tensor(self._own(), name.encode(), given)

    def _own(self) -> int:
        """The handle of this call alone, with all its callbacks."""
        if self._handle:
            return self._handle
        self._handle = handle(self._lib.lf_options_create)
        if self._watch is not None:
            self._tell(self._watch)
        return self._handle

    def _tell(self, watch: Watch) -> None:
        def progress(_: Any, done: int, total: int, tokens: int) -> int:
            watch.report(done, total, tokens)
            return int(watch.stopped)

        def on_text(_: Any, text: int | None, length: int) -> int:
            watch.token(text_of(text, length))
            return int(watch.stopped)

        self._set(self._lib.lf_options_set_cancel, CANCEL(Asker(watch).send))
        if watch.progress is not None:
            self._set(self._lib.lf_options_set_progress, PROGRESS(progress))
        if watch.on_token is not None:
            self._set(self._lib.lf_options_set_on_text, TEXT(on_text))

    def _set(self, call: Callable[..., Any], callback: Any) -> None:
        self._callbacks.append(callback)
        call(self._handle, callback, None)

    def __enter__(self) -> int | None:
        watch = self._watch
        if self._handle or watch is None:
            return self._handle or None
        if watch.progress is not None or watch.on_token is not None:
            return self._own()
        standing = _standing_options()
        if standing.asker.watch is not None:
            # A call inside a call: a signal handler's, say.
            return self._own()
        self._borrowed = standing.asker
        self._borrowed.watch = watch
        return standing.handle

    def __exit__(self, *_: object) -> None:
        if self._borrowed is not None:
            self._borrowed.watch = None
            self._borrowed = None
        self.__del__()

    def __del__(self) -> None:
        given, self._handle = self._handle, 0
        if given:
            self._lib.lf_options_free(given)


class Answers:
    """What a task answered, item by item; frees the handle when it is left."""

    def __init__(self, given: int) -> None:
        self._lib, self._handle = library(), given

    def __enter__(self) -> Answers:
        return self

    def __exit__(self, *_: object) -> None:
        self._lib.lf_answer_free(self._handle)

    def __len__(self) -> int:
        return int(number(self._lib.lf_answer_count, self._handle, kind=ctypes.c_size_t))

    def text(self, item: int) -> str:
        return self._text(self._lib.lf_answer_text, item)

    def label(self, item: int) -> str:
        return self._text(self._lib.lf_answer_label, item)

    def range(self, item: int) -> tuple[int, int]:
        start, end = ctypes.c_int64(), ctypes.c_int64()
        self._lib.lf_answer_range(self._handle, item, CODE_POINTS, ctypes.byref(start), ctypes.byref(end))
        return start.value, end.value

    def score(self, item: int) -> float:
        return float(number(self._lib.lf_answer_score, self._handle, item, kind=ctypes.c_double))

    def logit(self, item: int) -> float:
        return float(number(self._lib.lf_answer_logit, self._handle, item, kind=ctypes.c_double))

    def group(self, item: int) -> int:
        return int(number(self._lib.lf_answer_group, self._handle, item, kind=ctypes.c_int64))

    def id(self, item: int) -> int:
        return int(number(self._lib.lf_answer_id, self._handle, item, kind=ctypes.c_int64))

    def tokens(self, item: int) -> tuple[int, ...]:
        values, count = ctypes.c_void_p(), ctypes.c_size_t()
        self._lib.lf_answer_tokens(self._handle, item, ctypes.byref(values), ctypes.byref(count))
        return int32s(values.value, count.value)

    def token_scores(self, item: int) -> tuple[float, ...]:
        values, count = ctypes.c_void_p(), ctypes.c_size_t()
        self._lib.lf_answer_token_scores(self._handle, item, ctypes.byref(values), ctypes.byref(count))
        return tuple((ctypes.c_float * count.value).from_address(values.value)) if values.value and count.value else ()

    def ended(self, item: int) -> bool:
        return bool(number(self._lib.lf_answer_ended, self._handle, item))

    def by_group(self, groups: int) -> list[list[int]]:
        """The items of each group, in their order."""
        rows: list[list[int]] = [[] for _ in range(groups)]
        for item in range(len(self)):
            rows[self.group(item)].append(item)
        return rows

    def _text(self, call: Callable[..., Any], item: int) -> str:
        text, length = ctypes.c_void_p(), ctypes.c_size_t()
        call(self._handle, item, ctypes.byref(text), ctypes.byref(length))
        return text_of(text.value, length.value)


def int32s(address: int | None, count: int) -> tuple[int, ...]:
    return tuple((ctypes.c_int32 * count).from_address(address)) if address and count else ()


def pointers(handles: Sequence[int]) -> Any:
    """An array of handles."""
    return (ctypes.c_void_p * max(len(handles), 1))(*handles)
