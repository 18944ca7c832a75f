"""The C library, as the protocols of ``_door`` want it."""
from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from typing import Any

import numpy as np

from .._arrays import Borrowed, NativeTensor, to_numpy
from .._options import GenerationOptions, LoadOptions, TaskOptions
from .._results import Answer, ChoiceScore, Encoding, Entity, FilledMask, Generated, LabelScore, MaskCandidate, Summary
from .._watch import Watch
from .library import CODE_POINTS, LOG, NotFound, Texts, library, utf8
from .objects import Answers, CTensor, Options, borrowed_tensor, handle, int32s, named_tensors, number, pointers, static_text, text_of

__all__ = ["DOOR"]

_PREFIXES = {
    "DocumentEncoder": "lf_document_encoder", "QuestionAnswerer": "lf_question_answerer", "TextClassifier": "lf_text_classifier",
    "TokenClassifier": "lf_token_classifier", "MultipleChoice": "lf_multiple_choice", "MaskFiller": "lf_mask_filler",
    "Summarizer": "lf_summarizer",
}  # fmt: skip
_ROLES = {
    "bos": "begin", "eos": "end", "cls": "classifier", "sep": "separator", "pad": "padding", "mask": "mask", "unk": "unknown",
}  # fmt: skip


class _CTokenizer:
    def __init__(self, given: int) -> None:
        """Takes the handle over."""
        self._lib = library()
        self._handle = given
        self.vocabulary_size: int = number(self._lib.lf_tokenizer_vocabulary_size, self._handle)
        special = {}
        for name, role in _ROLES.items():
            try:
                special[name] = int(number(self._lib.lf_tokenizer_special_token, self._handle, role.encode()))
            except NotFound:
                continue
        self.special_tokens: Mapping[str, int] = special

    def encode(self, text: str, pair: str | None, options: Mapping[str, Any]) -> tuple[Encoding, tuple[Encoding, ...]]:
        data, second = utf8(text), None if pair is None else utf8(pair, "pair")
        lib = self._lib
        with _options(options) as opened:
            given = handle(lib.lf_tokenizer_encode, self._handle, data, len(data), second, len(second or b""), opened)
        try:
            count = number(lib.lf_encoding_overflow_count, given, kind=ctypes.c_size_t)
            rest = [handle(lib.lf_encoding_overflow, given, i) for i in range(count)]
            encodings = [self._read(h) for h in (given, *rest)]
            for part in rest:
                lib.lf_encoding_free(part)
        finally:
            lib.lf_encoding_free(given)
        return encodings[0], tuple(encodings[1:])

    def encode_batch(self, given: Sequence[str], pairs: Sequence[str] | None, options: Mapping[str, Any]) -> list[Encoding]:
        first, second = Texts(given, "texts"), None if pairs is None else Texts(pairs, "pairs")
        encodings = (ctypes.c_void_p * max(first.count, 1))()
        with _options(options) as opened:
            self._lib.lf_tokenizer_encode_batch(
                self._handle, first.pointers, first.lengths, second and second.pointers, second and second.lengths, first.count, opened, encodings
            )
        handles = [h or 0 for h in encodings[: first.count]]
        try:
            return [self._read(h) for h in handles]
        finally:
            for h in handles:
                self._lib.lf_encoding_free(h)

    def _read(self, given: int) -> Encoding:
        lib = self._lib
        count = number(lib.lf_encoding_count, given, kind=ctypes.c_size_t)

        def values(kind: bytes) -> tuple[int, ...]:
            return int32s(handle(lib.lf_encoding_values, given, kind), count)

        ranges = int32s(handle(lib.lf_encoding_ranges, given, CODE_POINTS), 2 * count)
        return Encoding(
            values(b"ids"), tuple(zip(ranges[::2], ranges[1::2])), values(b"sequence_ids"), values(b"type_ids"),
            values(b"special_tokens_mask"), values(b"attention_mask"),
        )  # fmt: skip

    def decode(self, ids: Sequence[int], skip_special_tokens: bool) -> str:
        values = (ctypes.c_int32 * max(len(ids), 1))(*ids)
        return self._owned_text(self._lib.lf_tokenizer_decode, values, len(ids), int(skip_special_tokens))

    def token_to_id(self, token: str) -> int | None:
        data = utf8(token, "token")
        try:
            return int(number(self._lib.lf_tokenizer_token_to_id, self._handle, data, len(data)))
        except NotFound:
            return None

    def id_to_token(self, index: int) -> str | None:
        try:
            return self._owned_text(self._lib.lf_tokenizer_id_to_token, index)
        except NotFound:
            return None

    def _owned_text(self, call: Any, *arguments: Any) -> str:
        text, length = ctypes.c_void_p(), ctypes.c_size_t()
        call(self._handle, *arguments, ctypes.byref(text), ctypes.byref(length))
        try:
            return text_of(text.value, length.value)
        finally:
            self._lib.lf_text_free(text)

    def close(self) -> None:
        self._lib.lf_tokenizer_free(self._handle)


class _CTask:
    """A task of the library; the methods are those of all tasks, each class uses its own."""

    asks = True

    def __init__(self, task: str, folder: str, options: LoadOptions) -> None:
        self._lib, self._prefix = library(), _PREFIXES[task]
        self._calls: dict[str, Any] = {}
        self._handle = _load(f"{self._prefix}_load", folder, options)

    def _call(self, verb: str) -> Any:
        call = self._calls.get(verb)
        if call is None:
            call = self._calls[verb] = getattr(self._lib, f"{self._prefix}_{verb}")
        return call

    def tokenizer(self) -> _CTokenizer:
        return _CTokenizer(handle(self._call("tokenizer"), self._handle))

    def close(self) -> None:
        self._call("free")(self._handle)

    @cached_property
    def max_tokens(self) -> int:
        return int(number(self._call("max_tokens"), self._handle))

    @cached_property
    def hidden_size(self) -> int:
        return int(number(self._call("hidden_size"), self._handle))

    @cached_property
    def labels(self) -> tuple[str, ...]:
        count = number(self._call("label_count"), self._handle, kind=ctypes.c_size_t)
        return tuple(static_text(self._call("label"), self._handle, i) for i in range(count))

    @cached_property
    def problem_type(self) -> str:
        return static_text(self._call("problem_type"), self._handle)

    @property
    def mask_text(self) -> str:
        return static_text(self._call("mask_text"), self._handle)

    def encode(self, documents: Sequence[str], pooling: str, normalize: bool, task: TaskOptions, watch: Watch) -> np.ndarray | list[np.ndarray]:
        given = Texts(documents, "documents")
        options = Options(task, watch)
        if pooling != "mean":
            options.put("pooling", pooling)
        if normalize:
            options.put("normalize", True)
        vectors, offsets = ctypes.c_void_p(), ctypes.c_void_p()
        with options as opened:
            self._call("encode")(
                self._handle, given.pointers, given.lengths, given.count, opened, ctypes.byref(vectors),
                ctypes.byref(offsets) if pooling == "tokens" else None,
            )  # fmt: skip
        if pooling != "tokens":
            return to_numpy(CTensor(vectors.value or 0, (given.count, self.hidden_size)))
        values = to_numpy(CTensor(vectors.value or 0))
        cuts = to_numpy(CTensor(offsets.value or 0)).tolist()
        return [values[start:end] for start, end in zip(cuts, cuts[1:])]

    def _answers(self, verb: str, *arguments: Any, options: Options) -> Answers:
        with options as opened:
            return Answers(handle(self._call(verb), self._handle, *arguments, opened))

    def answer(
        self, question: str, document: str, top: int, max_answer_tokens: int, overlap: int, task: TaskOptions, watch: Watch
    ) -> list[Answer]:
        q, d = utf8(question, "question"), utf8(document, "document")
        options = Options(task, watch)
        for name, value in (("top", top), ("max_answer_tokens", max_answer_tokens), ("overlap", overlap)):
            options.put(name, value)
        with self._answers("answer", q, len(q), d, len(d), options=options) as a:
            return [Answer(a.text(i), *a.range(i), a.score(i), a.logit(i)) for i in range(len(a))]

    def classify(self, documents: Sequence[str], task: TaskOptions, watch: Watch) -> list[list[LabelScore]]:
        given = Texts(documents, "documents")
        with self._answers("classify", given.pointers, given.lengths, given.count, options=Options(task, watch)) as a:
            return [[LabelScore(a.label(i), a.score(i), a.logit(i)) for i in row] for row in a.by_group(given.count)]

    def tag(self, text: str, aggregation: str, task: TaskOptions, watch: Watch) -> list[Entity]:
        data = utf8(text)
        options = Options(task, watch)
        options.put("aggregation", aggregation)
        with self._answers("tag", data, len(data), options=options) as a:
            return [Entity(a.label(i), a.text(i), *a.range(i), a.score(i)) for i in range(len(a))]

    def choose(self, document: str, choices: Sequence[str], question: str | None, task: TaskOptions, watch: Watch) -> list[ChoiceScore]:
        d, q, c = utf8(document, "document"), None if question is None else utf8(question, "question"), Texts(choices, "choices")
        with self._answers("choose", d, len(d), q, len(q or b""), c.pointers, c.lengths, c.count, options=Options(task, watch)) as a:
            return [ChoiceScore(a.id(i), choices[a.id(i)], a.score(i), a.logit(i)) for i in range(len(a))]

    def fill(self, text: str, top: int, task: TaskOptions, watch: Watch) -> list[FilledMask]:
        data = utf8(text)
        options = Options(task, watch)
        options.put("top", top)
        with self._answers("fill", data, len(data), options=options) as a:
            masks: dict[int, list[int]] = {}
            for i in range(len(a)):
                masks.setdefault(a.group(i), []).append(i)
            return [
                FilledMask(*a.range(items[0]), tuple(MaskCandidate(a.id(i), a.text(i), a.score(i)) for i in items)) for items in masks.values()
            ]

    def summarize(self, documents: Sequence[str], generation: GenerationOptions, task: TaskOptions, watch: Watch) -> list[list[Summary]]:
        given = Texts(documents, "documents")
        options = Options(task, watch)
        put_generation(options, generation)
        with self._answers("summarize", given.pointers, given.lengths, given.count, options=options) as a:
            return [[Summary(a.text(i), a.tokens(i), a.score(i)) for i in row] for row in a.by_group(given.count)]


def put_generation(options: Options, generation: GenerationOptions) -> None:
    """The options of generation under the library's names, which are this package's."""
    for name, value in generation.given().items():
        if name == "early_stopping":
            value = str(value).lower()
        if name == "bad_words":
            for sequence in value:
                options.put(name, sequence)
            continue
        if name in ("length_penalty", "repetition_penalty", "temperature", "top_p"):
            value = float(value)
        options.put(name, value)


class _CModel:
    asks = True

    def __init__(self, folder: str, options: LoadOptions) -> None:
        self._lib = library()
        self._handle = _load("lf_model_load", folder, options)
        self.architecture = static_text(self._lib.lf_model_architecture, self._handle)
        self.device = options.device

    @property
    def dtype(self) -> str:
        parameters = self.parameters()
        for tensor in parameters.values():
            tensor.release()
        return next(iter(parameters.values())).dtype

    def run(self, inputs: Mapping[str, Borrowed], hidden_states: bool, attentions: bool, watch: Watch) -> dict[str, NativeTensor]:
        options = Options(None, watch)
        if hidden_states:
            options.put("hidden_states", True)
        if attentions:
            options.put("attentions", True)
        with _inputs(inputs) as given, options as opened:
            return named_tensors(handle(self._lib.lf_model_run, self._handle, *given, opened))

    def gradients(self, inputs: Mapping[str, Borrowed]) -> dict[str, NativeTensor]:
        with _inputs(inputs) as given:
            return named_tensors(handle(self._lib.lf_model_gradients, self._handle, *given))

    def parameters(self) -> dict[str, NativeTensor]:
        return named_tensors(handle(self._lib.lf_model_parameters, self._handle))

    def save(self, folder: str) -> None:
        self._lib.lf_model_save(self._handle, utf8(folder, "folder"))

    def generate(self, inputs: Mapping[str, Borrowed], generation: GenerationOptions, watch: Watch) -> list[list[Generated]]:
        options = Options(None, watch)
        put_generation(options, generation)
        rows = inputs["input_ids"].shape[0] if "input_ids" in inputs and inputs["input_ids"].shape else 0
        with _inputs(inputs) as given, options as opened, Answers(handle(self._lib.lf_model_generate, self._handle, *given, opened)) as a:
            return [[Generated(a.tokens(i), a.score(i), a.token_scores(i), a.ended(i)) for i in row] for row in a.by_group(rows)]

    def close(self) -> None:
        self._lib.lf_model_free(self._handle)


@contextmanager
def _inputs(inputs: Mapping[str, Borrowed]) -> Iterator[tuple[Any, Any, int]]:
    """Names, tensors and their count, as the functions of models take them."""
    names = (ctypes.c_char_p * max(len(inputs), 1))(*(utf8(n) for n in inputs))
    with ExitStack() as stack:
        yield names, pointers([stack.enter_context(borrowed_tensor(b)) or 0 for b in inputs.values()]), len(inputs)


def _load(function: str, folder: str, options: LoadOptions) -> int:
    lib = library()
    chosen = handle(lib.lf_load_options_create)
    try:
        flags = {"trainable": options.trainable or None, "cuda_graphs": options.cuda_graphs, "tf32": options.tf32}
        switches = [(name, None if flag is None else "true" if flag else "false") for name, flag in flags.items()]
        for name, value in (("device", options.device), ("dtype", options.dtype), ("attention", options.attention), *switches):
            if value is not None:
                lib.lf_load_options_set(chosen, name.encode(), utf8(value, name))
        return handle(getattr(lib, function), utf8(folder, "folder"), chosen)
    finally:
        lib.lf_load_options_free(chosen)


def _options(given: Mapping[str, Any]) -> Options:
    chosen = Options()
    for name, value in given.items():
        chosen.put(name, value)
    return chosen


@contextmanager
def _attending(
    inputs: Sequence[Borrowed], dilation: Sequence[int] | None, global_index: Borrowed | None, mask: Borrowed | None, scale: float | None
) -> Iterator[tuple[list[int | None], Options]]:
    """Handles of the operators' inputs, and the options that they share."""
    options = Options()
    with ExitStack() as stack:
        tensors = [stack.enter_context(borrowed_tensor(b)) for b in inputs]
        options.put("dilation", dilation)
        options.put_tensor("global_index", stack.enter_context(borrowed_tensor(global_index)))
        options.put_tensor("mask", stack.enter_context(borrowed_tensor(mask)))
        options.put("scale", None if scale is None else float(scale))
        yield tensors, options


class CDoor:
    """The door itself; the library is loaded by its first use."""

    name = "c"
    # What the library calls; it must live as long as that.
    _log: Any = None

    def load(self, task: str, folder: str, options: LoadOptions) -> Any:
        return _CTask(task, folder, options)

    def load_model(self, folder: str, options: LoadOptions) -> _CModel:
        return _CModel(folder, options)

    def load_tokenizer(self, folder: str) -> _CTokenizer:
        return _CTokenizer(handle(library().lf_tokenizer_load, utf8(folder, "folder")))

    def banded_attention(
        self, query: Borrowed, key: Borrowed, value: Borrowed, window: tuple[int, int], dilation: Sequence[int] | None,
        global_index: Borrowed | None, mask: Borrowed | None, scale: float | None, implementation: str,
    ) -> tuple[NativeTensor, NativeTensor]:  # fmt: skip
        output, logsumexp = ctypes.c_void_p(), ctypes.c_void_p()
        with _attending((query, key, value), dilation, global_index, mask, scale) as (tensors, options):
            if implementation != "fused":
                options.put("implementation", implementation)
            with options as opened:
                library().lf_banded_attention(*tensors, *window, opened, ctypes.byref(output), ctypes.byref(logsumexp))
        return CTensor(output.value or 0), CTensor(logsumexp.value or 0)

    def banded_attention_probabilities(
        self, query: Borrowed, key: Borrowed, window: tuple[int, int], dilation: Sequence[int] | None, global_index: Borrowed | None,
        mask: Borrowed | None, scale: float | None,
    ) -> NativeTensor:  # fmt: skip
        with _attending((query, key), dilation, global_index, mask, scale) as (tensors, options), options as opened:
            return CTensor(handle(library().lf_banded_attention_probabilities, *tensors, *window, opened))

    def global_attention(
        self, query: Borrowed, key: Borrowed, value: Borrowed, global_index: Borrowed, mask: Borrowed | None, scale: float | None
    ) -> NativeTensor:
        with _attending((query, key, value, global_index), None, None, mask, scale) as (tensors, options), options as opened:
            return CTensor(handle(library().lf_global_attention, *tensors, opened))

    def convert(
        self, source: str, output: str, to: str, positions: int | None, window: Sequence[int] | None, base_positions: int | None, overwrite: bool
    ) -> list[tuple[str, str]]:
        options = Options()
        for name, value in (("to", to), ("positions", positions), ("window", window), ("base_positions", base_positions)):
            options.put(name, value)
        if overwrite:
            options.put("overwrite", True)
        with options as opened, Answers(handle(library().lf_convert, utf8(source, "source"), utf8(output, "output"), opened)) as a:
            return [(a.label(i), a.text(i)) for i in range(len(a))]

    def read_tensors(self, path: str) -> dict[str, NativeTensor]:
        return named_tensors(handle(library().lf_tensors_open, utf8(path, "path")))

    def write_tensors(self, path: str, tensors: Mapping[str, Borrowed]) -> None:
        with _inputs(tensors) as given:
            library().lf_tensors_write(utf8(path, "path"), *given)

    def version(self) -> str:
        text: bytes = library().lf_version()
        return text.decode()

    def torch_version(self) -> str:
        return static_text(library().lf_torch_version)

    def set_log(self, told: Callable[[int, str], None] | None, level: int) -> None:
        def tell(_: Any, at: int, message: int | None, length: int) -> None:
            if told is not None:
                told(at, text_of(message, length))

        callback = None if told is None else LOG(tell)
        library().lf_set_log(callback, None, level)
        self._log = callback

    def get_threads(self) -> int:
        return int(number(library().lf_get_threads))

    def set_threads(self, threads: int) -> None:
        library().lf_set_threads(threads)

    def cuda_available(self) -> bool:
        return bool(number(library().lf_device_count, b"cuda"))


DOOR = CDoor()
