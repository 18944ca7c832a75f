"""Handles of the C library as Python objects: tensors, answers, options."""
from __future__ import annotations

import ctypes
import struct
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any, TypeVar

from .._arrays import Borrowed, NativeTensor
from .._fork import STATE
from .._options import DEFAULT_TASK, TaskOptions, plain_number
from .._watch import CancelPoll, Watch
from .library import CANCEL, CODE_POINTS, DTYPES, PROGRESS, TEXT, library, text_utf8, utf8

__all__ = [
    "Answers", "BorrowedHandles", "CTensor", "ENCODING", "Options", "Outputs", "handle", "int32s", "memory_of", "named_tensors", "number",
    "owned_text", "static_text", "text_of",
]  # fmt: skip

T = TypeVar("T")

_TASK = {"truncate": DEFAULT_TASK.truncate, "tokens_per_batch": DEFAULT_TASK.tokens_per_batch}
_NAMES = {number: name for name, number in DTYPES.items()}

#: Passes the memory of an array as an argument. The object that ctypes makes over it keeps the array alive. Other ways to the address take
#: several times as long.
memory_of: Callable[[Any], Any] = (ctypes.c_char * 0).from_buffer


def handle(call: Callable[..., Any], *arguments: Any) -> int:
    """Returns the handle that a function writes to its last parameter."""
    out = ctypes.c_void_p()
    call(*arguments, ctypes.byref(out))
    return out.value or 0


def number(call: Callable[..., Any], *arguments: Any, kind: Any = ctypes.c_int32) -> Any:
    """Returns the number that a function writes to its last parameter."""
    out = kind()
    call(*arguments, ctypes.byref(out))
    return out.value


def static_text(call: Callable[..., Any], *arguments: Any) -> str:
    """Returns the text that a function writes to its last parameter. The library keeps it."""
    out = ctypes.c_char_p()
    call(*arguments, ctypes.byref(out))
    return (out.value or b"").decode("utf-8")


def text_of(pointer: int | None, length: int) -> str:
    return ctypes.string_at(pointer, length).decode("utf-8") if pointer and length else ""


def owned_text(call: Callable[..., Any], *arguments: Any) -> str:
    """Returns the text that a function writes to its last two parameters, and frees the library's copy."""
    text, length = ctypes.c_void_p(), ctypes.c_size_t()
    call(*arguments, ctypes.byref(text), ctypes.byref(length))
    try:
        return text_of(text.value, length.value)
    finally:
        library().lf_text_free(text)


class Outputs:
    """Memory for the outputs of a function that has many: eight bytes each, read all at once."""

    def __init__(self, kinds: str) -> None:
        """``kinds``: a letter of ``struct`` for each."""
        self._room = ctypes.c_char * (8 * len(kinds))
        self.read: Callable[[Any], tuple[Any, ...]] = struct.Struct("=" + "".join(f"{k}4x" if struct.calcsize(k) == 4 else k for k in kinds)).unpack

    def room(self, asked: Sequence[bool]) -> tuple[Any, list[Any]]:
        """Returns memory and the arguments that point into it. Outputs that are not asked for are None."""
        memory = self._room()
        return memory, [ctypes.byref(memory, 8 * i) if asked[i] else None for i in range(len(asked))]

    def call(self, function: Callable[..., Any], *arguments: Any) -> tuple[Any, ...]:
        """Calls the function and returns all its outputs."""
        memory = self._room()
        function(*arguments, *[ctypes.byref(memory, place) for place in range(0, len(memory), 8)])
        return self.read(memory)


#: data, dtype, rank, shape, strides, device.
_TENSOR = Outputs("QiiQQQ")
#: count, ids, ranges, sequence_ids, type_ids, special_tokens_mask, attention_mask, overflow_count.
ENCODING = Outputs("QQQQQQQQ")
_ITEM = Outputs("QQQQqqddqq")
_ITEM_FIELDS = ("text", "text_length", "label", "label_length", "start", "end", "score", "logit", "group", "id")


class CTensor:
    """A tensor of the library."""

    __slots__ = ("_handle", "address", "device", "dtype", "shape", "strides")

    def __init__(self, handle_: int) -> None:
        self._handle = handle_
        address, dtype, rank, shape, strides, device = _TENSOR.call(library().lf_tensor_describe, handle_)
        self.address: int = address
        self.dtype = _NAMES[dtype]
        self.device = ctypes.string_at(device).decode()
        self.shape: tuple[int, ...] = _values("q", shape, rank)
        self.strides: tuple[int, ...] = _values("q", strides, rank)

    def to_cpu(self, dtype: str) -> NativeTensor:
        return CTensor(handle(library().lf_tensor_convert, self._handle, DTYPES[dtype], b"cpu"))

    def release(self) -> None:
        given, self._handle = self._handle, 0
        if given:
            library().lf_tensor_free(given)


def _values(kind: str, address: int | None, count: int) -> tuple[Any, ...]:
    """Copies numbers of one kind, a letter of ``struct``, out of the library's memory."""
    return struct.unpack(f"={count}{kind}", ctypes.string_at(address, count * struct.calcsize(f"={kind}"))) if address and count else ()


def int32s(address: int | None, count: int) -> tuple[int, ...]:
    return _values("i", address, count)


class BorrowedHandles:
    """Handles over the caller's memory during a call. Leaving the context frees them."""

    def __init__(self) -> None:
        self._lib = library()
        self._handles: list[int] = []

    def tensor(self, b: Borrowed | None) -> int | None:
        if b is None:
            return None
        rank = len(b.shape)
        sizes = ctypes.c_int64 * max(rank, 1)
        given = handle(
            self._lib.lf_tensor_from_memory, b.address, DTYPES[b.dtype], sizes(*b.shape), sizes(*b.strides), rank, b.device.encode(), None, None
        )
        self._handles.append(given)
        return given

    def named(self, tensors: Mapping[str, Borrowed]) -> tuple[Any, Any, int]:
        """Returns names, tensors and their count as the functions of models take them."""
        count = len(tensors)
        names = (ctypes.c_char_p * max(count, 1))(*map(utf8, tensors))
        return names, (ctypes.c_void_p * max(count, 1))(*map(self.tensor, tensors.values())), count

    def __enter__(self) -> BorrowedHandles:
        return self

    def __exit__(self, *_: object) -> None:
        for given in self._handles:
            self._lib.lf_tensor_free(given)


def named_tensors(given: int) -> dict[str, NativeTensor]:
    """Returns the tensors of an lf_tensors handle and frees the handle."""
    lib = library()
    name, tensor = ctypes.c_char_p(), ctypes.c_void_p()
    outputs = ctypes.byref(name), ctypes.byref(tensor)
    found: dict[str, NativeTensor] = {}
    try:
        for i in range(number(lib.lf_tensors_count, given, kind=ctypes.c_size_t)):
            lib.lf_tensors_at(given, i, *outputs)
            found[(name.value or b"").decode()] = CTensor(tensor.value or 0)
        return found
    finally:
        lib.lf_tensors_free(given)


#: A poll takes the interpreter's lock and runs a callback. A shorter call does not poll: Ctrl-C is raised when it returns.
_MILLISECONDS_BETWEEN_POLLS = 20


class _Owned:
    """An lf_options handle with its callbacks."""

    __slots__ = ("_callbacks", "_lib", "poll", "handle")

    def __init__(self, chosen: Sequence[tuple[str, Any]], poll: CancelPoll | None) -> None:
        """``poll``: says whether the call is to stop."""
        self._lib = library()
        self._callbacks: list[Any] = []
        self.poll = poll
        self.handle = handle(self._lib.lf_options_create)
        for name, value in chosen:
            self._set(name, value)
        if poll is not None:
            self.call_back(self._lib.lf_options_set_cancel, CANCEL(poll.send))
            self._lib.lf_options_set_cancel_interval(self.handle, _MILLISECONDS_BETWEEN_POLLS)

    def _set(self, name: str, value: Any) -> None:
        """By the kind of the value."""
        lib, key, own = self._lib, name.encode(), self.handle
        if isinstance(value, (bool, int)):
            lib.lf_options_set_int(own, key, int(value))
        elif isinstance(value, float):
            lib.lf_options_set_float(own, key, value)
        elif isinstance(value, str):
            data = text_utf8(value)
            lib.lf_options_set_text(own, key, data, len(data))
        else:
            lib.lf_options_set_ints(own, key, (ctypes.c_int64 * max(len(value), 1))(*value), len(value))

    def call_back(self, set_callback: Callable[..., Any], callback: Any) -> None:
        self._callbacks.append(callback)
        set_callback(self.handle, callback, None)

    def __del__(self, ending: Callable[[], bool] = sys.is_finalizing, state: Any = STATE) -> None:
        if not ending() and not state.forked:
            self._lib.lf_options_free(self.handle)


class _Kept(threading.local):
    """The options that a thread's calls used, by what they chose. Making options with their callback takes longer than everything else in a
    short call, and most calls choose nothing, or the same as the call before."""

    def __init__(self) -> None:
        self.options: dict[tuple[Any, ...], _Owned] = {}
        #: For functions that take no cancel callback.
        self.unasked: dict[tuple[Any, ...], _Owned] = {}


_kept = _Kept()
_MOST_KEPT = 16


class Options:
    """lf_options for one call, with its callbacks. A context manager that returns the handle, or None where nothing was chosen."""

    # Class attributes, since most calls set none of them.
    _chosen: tuple[Any, ...] = ()
    _tensors: tuple[tuple[str, int], ...] = ()
    _owned: _Owned | None = None
    _borrowed: CancelPoll | None = None

    def __init__(self, task: TaskOptions = DEFAULT_TASK, watch: Watch | None = None) -> None:
        self._watch = watch
        if task is not DEFAULT_TASK:
            self.choose({"truncate": bool(task.truncate), "global": task.global_text, "tokens_per_batch": task.tokens_per_batch}, _TASK)

    def put(self, name: str, value: Any) -> None:
        """Chooses an option. None chooses nothing."""
        if value is None:
            return
        value = plain_number(value)
        if not isinstance(value, (bool, int, float, str)):
            value = tuple([int(v) for v in value])
        # The kind as well: True, 1 and 1.0 are the same to a dict.
        self._chosen += (name, value.__class__, value)

    def choose(self, given: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
        """Chooses the options that differ from the library's defaults."""
        for name, value in given.items():
            default = defaults.get(name)
            if type(value) is not type(default) or value != default:
                self.put(name, value)

    def put_tensor(self, name: str, given: int | None) -> None:
        if given is not None:
            self._tensors += ((name, given),)

    def _pairs(self) -> list[tuple[str, Any]]:
        return list(zip(self._chosen[::3], self._chosen[2::3]))

    def _own(self) -> int:
        """Makes options for this call alone, with all its callbacks."""
        watch, lib = self._watch, library()
        self._owned = owned = _Owned(self._pairs(), None if watch is None else CancelPoll(watch))
        for name, tensor in self._tensors:
            lib.lf_options_set_tensor(owned.handle, name.encode(), tensor)
        if watch is not None and watch.reports:
            self._report(owned, watch)
        return owned.handle

    @staticmethod
    def _report(owned: _Owned, watch: Watch) -> None:
        def progress(_: Any, done: int, total: int, tokens: int) -> int:
            watch.report(done, total, tokens)
            return int(watch.stopped)

        def on_text(_: Any, text: int | None, length: int) -> int:
            watch.token(text_of(text, length))
            return int(watch.stopped)

        lib = library()
        if watch.progress is not None:
            owned.call_back(lib.lf_options_set_progress, PROGRESS(progress))
        if watch.on_token is not None:
            owned.call_back(lib.lf_options_set_on_text, TEXT(on_text))

    def __enter__(self) -> int | None:
        watch = self._watch
        if self._tensors or watch is not None and watch.reports:
            return self._own()
        if watch is None:
            if not self._chosen:
                return None
            # They hold no callbacks, so nested calls may share them.
            self._owned = _kept.unasked.get(self._chosen) or self._keep(_kept.unasked, None)
            return self._owned.handle
        kept = _kept.options.get(self._chosen) or self._keep(_kept.options, CancelPoll())
        poll = kept.poll
        if poll is None or poll.watch is not None:
            # In use already: this call runs inside another, for example in a signal handler.
            return self._own()
        poll.watch = watch
        # Kept here too, since a nested call may drop it from the thread's options.
        self._owned, self._borrowed = kept, poll
        return kept.handle

    def _keep(self, options: dict[tuple[Any, ...], _Owned], poll: CancelPoll | None) -> _Owned:
        while len(options) >= _MOST_KEPT:
            options.pop(next(iter(options)), None)
        made = options[self._chosen] = _Owned(self._pairs(), poll)
        return made

    def __exit__(self, *_: object) -> None:
        if self._borrowed is not None:
            self._borrowed.watch = None
        self._owned = self._borrowed = None


@lru_cache
def _wanted(names: tuple[str, ...]) -> tuple[list[bool], Callable[[tuple[Any, ...]], tuple[Any, ...]]]:
    """Returns which outputs of lf_answer_item to ask for, and a function that picks them out of all outputs."""
    asked = [name.removesuffix("_length") in names for name in _ITEM_FIELDS]
    return asked, itemgetter(*map(_ITEM_FIELDS.index, names))


class Answers:
    """The answers of a task, item by item. Leaving the context frees the handle."""

    def __init__(self, given: int) -> None:
        self._lib, self._handle = library(), given

    def __enter__(self) -> Answers:
        return self

    def __exit__(self, *_: object) -> None:
        self._lib.lf_answer_free(self._handle)

    def __len__(self) -> int:
        return int(number(self._lib.lf_answer_count, self._handle, kind=ctypes.c_size_t))

    def items(self, *wanted: str) -> Iterator[tuple[Any, ...]]:
        """Yields the wanted fields (two or more) of each item, in that order: text, label, start, end, score, logit, group, id."""
        asked, pick = _wanted(wanted)
        memory, outputs = _ITEM.room(asked)
        get, read = self._lib.lf_answer_item, _ITEM.read
        for i in range(len(self)):
            get(self._handle, i, CODE_POINTS, *outputs)
            text, text_length, label, label_length, *rest = read(memory)
            yield pick((text_of(text, text_length), 0, text_of(label, label_length), 0, *rest))

    def rows(self, groups: int, make: Callable[..., T], *wanted: str) -> list[list[T]]:
        """Returns the results of ``make`` for the items of each of the groups."""
        found: list[list[T]] = [[] for _ in range(groups)]
        for group, *values in self.items("group", *wanted):
            found[group].append(make(*values))
        return found

    def tokens(self, item: int) -> tuple[int, ...]:
        values, count = ctypes.c_void_p(), ctypes.c_size_t()
        self._lib.lf_answer_tokens(self._handle, item, ctypes.byref(values), ctypes.byref(count))
        return int32s(values.value, count.value)

    def token_scores(self, item: int) -> tuple[float, ...]:
        values, count = ctypes.c_void_p(), ctypes.c_size_t()
        self._lib.lf_answer_token_scores(self._handle, item, ctypes.byref(values), ctypes.byref(count))
        return _values("f", values.value, count.value)

    def ended(self, item: int) -> bool:
        return bool(number(self._lib.lf_answer_ended, self._handle, item))
