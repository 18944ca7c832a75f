"""The C library, behind the protocols of ``_backend``."""
from __future__ import annotations

import ctypes
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import count
from typing import Any

import numpy as np

from .._arrays import Borrowed, NativeTensor, to_numpy
from .._options import AttentionOptions, GenerationOptions, LoadOptions, TaskOptions
from .._results import Answer, ChoiceScore, Cluster, Encoding, Entity, FilledMask, Generated, LabelScore, MaskCandidate, Mention, Summary
from .._watch import Watch
from .character import CCharacterModel
from .library import CODE_POINTS, LOG, NotFound, library, packed, text_utf8, utf8
from .loading import load_handle, settings_of
from .objects import ENCODING, Answers, BorrowedHandles, CTensor, Options, handle, int32s, memory_of, named_tensors, number, owned_text, static_text, text_of
from .search import CSearch

__all__ = ["BACKEND"]

_PREFIXES = {
    "DocumentEncoder": "lf_document_encoder", "QuestionAnswerer": "lf_question_answerer", "TextClassifier": "lf_text_classifier",
    "TokenClassifier": "lf_token_classifier", "MultipleChoice": "lf_multiple_choice", "MaskFiller": "lf_mask_filler",
    "SpanClassifier": "lf_span_classifier", "CoreferenceResolver": "lf_coreference_resolver", "Summarizer": "lf_summarizer",
}  # fmt: skip
_ROLES = {
    "bos": "begin", "eos": "end", "cls": "classifier", "sep": "separator", "pad": "padding", "mask": "mask", "unk": "unknown",
}  # fmt: skip

#: Defaults of the library, which need not be said.
_TOKENIZE = {"add_special_tokens": True, "stride": 0, "truncation": "longest_first", "padding": "none"}
_ANSWER = {"top": 1, "max_answer_tokens": 30, "overlap": 128}
_TAG = {"aggregation": "simple"}
_FILL = {"top": 5}
_empty, _FLOAT32 = np.empty, np.dtype(np.float32)


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
        data, second = text_utf8(text), None if pair is None else text_utf8(pair)
        lib = self._lib
        with _options(options) as opened:
            given = handle(lib.lf_tokenizer_encode, self._handle, data, len(data), second, len(second or b""), opened)
        try:
            first, overflowing = self._read(given)
            return first, tuple([self._part(given, i) for i in range(overflowing)])
        finally:
            lib.lf_encoding_free(given)

    def _part(self, whole: int, index: int) -> Encoding:
        given = handle(self._lib.lf_encoding_overflow, whole, index)
        try:
            return self._read(given)[0]
        finally:
            self._lib.lf_encoding_free(given)

    def encode_batch(self, given: Sequence[str], pairs: Sequence[str] | None, options: Mapping[str, Any]) -> list[Encoding]:
        first, lengths, count = packed(given)
        second, second_lengths, _ = (None, None, 0) if pairs is None else packed(pairs)
        encodings = (ctypes.c_void_p * count)()
        with _options(options) as opened:
            self._lib.lf_tokenizer_encode_batch(self._handle, first, lengths, second, second_lengths, count, opened, encodings)
        handles = [h or 0 for h in encodings]
        try:
            return [self._read(h)[0] for h in handles]
        finally:
            for h in handles:
                self._lib.lf_encoding_free(h)

    def _read(self, given: int) -> tuple[Encoding, int]:
        """The encoding, and the number of parts that were cut off it."""
        n, ids, ranges, *others, cut = ENCODING.call(self._lib.lf_encoding_describe, given, CODE_POINTS)
        offsets = int32s(ranges, 2 * n)
        return Encoding(int32s(ids, n), tuple(zip(offsets[::2], offsets[1::2])), *[int32s(values, n) for values in others]), cut

    def decode(self, ids: Sequence[int], skip_special_tokens: bool) -> str:
        values = (ctypes.c_int32 * max(len(ids), 1))(*ids)
        return owned_text(self._lib.lf_tokenizer_decode, self._handle, values, len(ids), int(skip_special_tokens))

    def token_to_id(self, token: str) -> int | None:
        data = text_utf8(token)
        try:
            return int(number(self._lib.lf_tokenizer_token_to_id, self._handle, data, len(data)))
        except NotFound:
            return None

    def id_to_token(self, index: int) -> str | None:
        try:
            return owned_text(self._lib.lf_tokenizer_id_to_token, self._handle, index)
        except NotFound:
            return None

    def close(self) -> None:
        self._lib.lf_tokenizer_free(self._handle)


class _Functions(dict[str, Any]):
    """The functions of a task, by their names without the prefix."""

    def __init__(self, prefix: str) -> None:
        super().__init__()
        self._prefix = prefix

    def __missing__(self, verb: str) -> Any:
        function = self[verb] = getattr(library(), f"{self._prefix}_{verb}")
        return function


class _CTask:
    """A task of the library; the methods are those of all tasks, each class uses its own."""

    polls = True

    def __init__(self, task: str, folder: str | None, options: LoadOptions) -> None:
        self._calls = _Functions(_PREFIXES[task])
        self._handle = load_handle(f"{_PREFIXES[task]}_load", folder, options)
        self._own_width: int | None = None

    def tokenizer(self) -> _CTokenizer:
        return _CTokenizer(handle(library().lf_task_tokenizer, self._handle))

    def close(self) -> None:
        library().lf_task_free(self._handle)

    @cached_property
    def max_tokens(self) -> int:
        return int(number(library().lf_task_max_tokens, self._handle))

    @cached_property
    def hidden_size(self) -> int:
        return int(number(self._calls["hidden_size"], self._handle))

    @cached_property
    def labels(self) -> tuple[str, ...]:
        count = number(library().lf_task_label_count, self._handle, kind=ctypes.c_size_t)
        return tuple(static_text(library().lf_task_label, self._handle, i) for i in range(count))

    @cached_property
    def problem_type(self) -> str:
        return static_text(self._calls["problem_type"], self._handle)

    @property
    def mask_text(self) -> str:
        return static_text(self._calls["mask_text"], self._handle)

    def encode(
        self, documents: Sequence[str], pooling: str | None, normalize: bool | None, prompt: str | None, task: TaskOptions, watch: Watch
    ) -> np.ndarray | list[np.ndarray]:
        given = texts, lengths, count = packed(documents)
        options = Options(task, watch)
        if pooling is not None:
            options.put("pooling", pooling)
        if normalize is not None:
            options.put("normalize", bool(normalize))
        options.put("prompt_name", prompt)
        if pooling == "tokens":
            return self._encode_tokens(given, options)
        width = self.hidden_size if pooling in ("cls", "mean") else self._own_width
        if width is None:
            # The folder's own modules decide the width; the first call returns it.
            made = ctypes.c_void_p()
            with options as opened:
                self._calls["encode"](self._handle, *given, opened, ctypes.byref(made), None)
            values = to_numpy(CTensor(made.value or 0))
            self._own_width = values.shape[1]
            return values
        vectors = _empty((count, width), _FLOAT32)
        with options as opened:
            self._calls["encode_into"](self._handle, texts, lengths, count, opened, memory_of(vectors), count * width, None)
        return vectors

    def _encode_tokens(self, given: tuple[Any, Any, int], options: Options) -> list[np.ndarray]:
        # Only the call itself finds out how many there are: it allocates the memory.
        vectors, offsets = ctypes.c_void_p(), ctypes.c_void_p()
        with options as opened:
            self._calls["encode"](self._handle, *given, opened, ctypes.byref(vectors), ctypes.byref(offsets))
        values, cuts = to_numpy(CTensor(vectors.value or 0)), to_numpy(CTensor(offsets.value or 0)).tolist()
        return [values[start:end] for start, end in zip(cuts, cuts[1:])]

    def _answers(self, verb: str, *arguments: Any, options: Options) -> Answers:
        with options as opened:
            return Answers(handle(self._calls[verb], self._handle, *arguments, opened))

    def answer(
        self, question: str, document: str, top: int, max_answer_tokens: int, overlap: int, no_answer: bool, task: TaskOptions, watch: Watch
    ) -> list[Answer]:
        q, d = text_utf8(question), text_utf8(document)
        options = Options(task, watch)
        if no_answer:
            options.put("no_answer", True)
        options.choose({"top": top, "max_answer_tokens": max_answer_tokens, "overlap": overlap}, _ANSWER)
        with self._answers("answer", q, len(q), d, len(d), options=options) as a:
            return [Answer(*item) for item in a.items("text", "start", "end", "score", "logit")]

    def classify(self, documents: Sequence[str], task: TaskOptions, watch: Watch) -> list[list[LabelScore]]:
        given = packed(documents)
        with self._answers("classify", *given, options=Options(task, watch)) as a:
            return a.rows(given[2], LabelScore, "label", "score", "logit")

    def tag(self, text: str, aggregation: str, task: TaskOptions, watch: Watch) -> list[Entity]:
        data = text_utf8(text)
        options = Options(task, watch)
        options.choose({"aggregation": aggregation}, _TAG)
        with self._answers("tag", data, len(data), options=options) as a:
            return [Entity(*item) for item in a.items("label", "text", "start", "end", "score")]

    def choose(self, document: str, choices: Sequence[str], question: str | None, task: TaskOptions, watch: Watch) -> list[ChoiceScore]:
        d, q, c = text_utf8(document), None if question is None else text_utf8(question), packed(choices)
        with self._answers("choose", d, len(d), q, len(q or b""), *c, options=Options(task, watch)) as a:
            return [ChoiceScore(index, choices[index], score, logit) for index, score, logit in a.items("id", "score", "logit")]

    def fill(self, text: str, top: int, task: TaskOptions, watch: Watch) -> list[FilledMask]:
        data = text_utf8(text)
        options = Options(task, watch)
        options.choose({"top": top}, _FILL)
        with self._answers("fill", data, len(data), options=options) as a:
            masks: dict[int, tuple[int, int, list[MaskCandidate]]] = {}
            for group, start, end, *candidate in a.items("group", "start", "end", "id", "text", "score"):
                masks.setdefault(group, (start, end, []))[2].append(MaskCandidate(*candidate))
            return [FilledMask(start, end, tuple(candidates)) for start, end, candidates in masks.values()]

    def classify_spans(self, text: str, spans: Sequence[tuple[int, int]], task: TaskOptions, watch: Watch) -> list[list[LabelScore]]:
        data = text_utf8(text)
        flat = (ctypes.c_int64 * max(2 * len(spans), 1))(*[place for span in spans for place in span])
        with self._answers("classify", data, len(data), flat, len(spans), CODE_POINTS, options=Options(task, watch)) as a:
            return a.rows(len(spans), LabelScore, "label", "score", "logit")

    def resolve(self, text: str, genre: str | None, watch: Watch) -> list[Cluster]:
        data = text_utf8(text)
        options = Options(watch=watch)
        options.put("genre", genre)
        with self._answers("resolve", data, len(data), options=options) as a:
            clusters: dict[int, list[Mention]] = {}
            for group, *mention in a.items("group", "text", "start", "end"):
                clusters.setdefault(group, []).append(Mention(*mention))
            return [Cluster(tuple(mentions)) for mentions in clusters.values()]

    def summarize(self, documents: Sequence[str], generation: GenerationOptions, task: TaskOptions, watch: Watch) -> list[list[Summary]]:
        given = packed(documents)
        options = Options(task, watch)
        put_generation(options, generation)
        with self._answers("summarize", *given, options=options) as a:
            tokens = map(a.tokens, range(len(a)))
            return a.rows(given[2], lambda text, score: Summary(text, next(tokens), score), "text", "score")


_FLOATS = {
    "length_penalty", "repetition_penalty", "temperature", "top_p", "encoder_repetition_penalty", "max_time", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff",
    "top_h", "rerank",
}  # fmt: skip


def put_generation(options: Options, generation: GenerationOptions) -> None:
    """The options of generation under the library's names, which are this package's."""
    for name, value in generation.given().items():
        if name == "early_stopping":
            value = str(value).lower()
        if name == "bad_words":
            for sequence in value:
                options.put(name, sequence)
            continue
        if name == "config":
            name, value = "generation_config", json.dumps(value)
        if name in _FLOATS:
            value = float(value)
        options.put(name, value)


class _CModel:
    polls = True

    def __init__(self, folder: str, options: LoadOptions) -> None:
        self._lib = library()
        self._handle = load_handle("lf_model_load", folder, options)
        self.architecture = static_text(self._lib.lf_model_architecture, self._handle)
        self.device = options.device

    @property
    def dtype(self) -> str:
        parameters = self.parameters()
        for tensor in parameters.values():
            tensor.release()
        return next(iter(parameters.values())).dtype

    def run(self, inputs: Mapping[str, Borrowed], hidden_states: bool, attentions: bool, watch: Watch) -> dict[str, NativeTensor]:
        options = Options(watch=watch)
        if hidden_states:
            options.put("hidden_states", True)
        if attentions:
            options.put("attentions", True)
        with BorrowedHandles() as handles, options as opened:
            return named_tensors(handle(self._lib.lf_model_run, self._handle, *handles.named(inputs), opened))

    def gradients(self, inputs: Mapping[str, Borrowed]) -> dict[str, NativeTensor]:
        with BorrowedHandles() as handles:
            return named_tensors(handle(self._lib.lf_model_gradients, self._handle, *handles.named(inputs)))

    def parameters(self) -> dict[str, NativeTensor]:
        return named_tensors(handle(self._lib.lf_model_parameters, self._handle))

    def save(self, folder: str) -> None:
        self._lib.lf_model_save(self._handle, utf8(folder, "folder"))

    def generate(self, inputs: Mapping[str, Borrowed], generation: GenerationOptions, watch: Watch) -> list[list[Generated]]:
        options = Options(watch=watch)
        put_generation(options, generation)
        rows = inputs["input_ids"].shape[0] if "input_ids" in inputs and inputs["input_ids"].shape else 0
        with BorrowedHandles() as handles, options as opened:
            answers = Answers(handle(self._lib.lf_model_generate, self._handle, *handles.named(inputs), opened))
        with answers as a:
            item = count()

            def generated(score: float) -> Generated:
                i = next(item)
                return Generated(a.tokens(i), score, a.token_scores(i), a.ended(i))

            return a.rows(rows, generated, "score")

    def close(self) -> None:
        self._lib.lf_model_free(self._handle)


def _options(given: Mapping[str, Any]) -> Options:
    chosen = Options()
    chosen.choose(given, _TOKENIZE)
    return chosen


def _paths(given: Sequence[str], name: str) -> tuple[Any, int]:
    data = [utf8(path, name) for path in given]
    return (ctypes.c_char_p * max(len(data), 1))(*data), len(data)


@contextmanager
def _attending(
    inputs: Sequence[Borrowed | None], options: AttentionOptions, more: Mapping[str, Any] | None = None
) -> Iterator[tuple[list[int | None], Any, int | None]]:
    """Handles of an operator's inputs, the window, and the handle of the other options, whose names are the library's."""
    given = options.given() | dict(more or {})
    window = given.pop("window")
    chosen = Options()
    with BorrowedHandles() as handles:
        tensors = [handles.tensor(b) for b in inputs]
        for name, value in given.items():
            if isinstance(value, Borrowed):
                chosen.put_tensor(name, handles.tensor(value))
            else:
                chosen.put(name, value)
        with chosen as opened:
            yield tensors, window, opened


class CBackend(CSearch):
    """The backend itself; the library is loaded by its first use."""

    name = "c"
    polls = True
    # The library calls these functions: they must live as long as it does.
    _log: Any = None

    def load(self, task: str, folder: str | None, options: LoadOptions) -> Any:
        return _CTask(task, folder, options)

    def load_model(self, folder: str, options: LoadOptions) -> _CModel:
        return _CModel(folder, options)

    def load_character_model(self, folder: str, options: LoadOptions) -> CCharacterModel:
        return CCharacterModel(folder, options)

    def load_tokenizer(self, folder: str) -> _CTokenizer:
        return _CTokenizer(handle(library().lf_tokenizer_load, utf8(folder, "folder")))

    def banded_attention(self, query: Borrowed, key: Borrowed, value: Borrowed, options: AttentionOptions) -> tuple[NativeTensor, NativeTensor]:
        output, logsumexp = ctypes.c_void_p(), ctypes.c_void_p()
        with _attending((query, key, value), options) as (tensors, window, opened):
            library().lf_banded_attention(*tensors, *window, opened, ctypes.byref(output), ctypes.byref(logsumexp))
        return CTensor(output.value or 0), CTensor(logsumexp.value or 0)

    def relative_banded_attention(
        self, inputs: Sequence[Borrowed | None], relative_zero: int, options: AttentionOptions
    ) -> tuple[NativeTensor, NativeTensor]:
        output, logsumexp = ctypes.c_void_p(), ctypes.c_void_p()
        with _attending(inputs, options, {"relative_zero": relative_zero}) as (tensors, window, opened):
            library().lf_relative_banded_attention(*tensors, *window, opened, ctypes.byref(output), ctypes.byref(logsumexp))
        return CTensor(output.value or 0), CTensor(logsumexp.value or 0)

    def banded_attention_probabilities(self, query: Borrowed, key: Borrowed, options: AttentionOptions) -> NativeTensor:
        with _attending((query, key), options) as (tensors, window, opened):
            return CTensor(handle(library().lf_banded_attention_probabilities, *tensors, *window, opened))

    def global_attention(
        self, query: Borrowed, key: Borrowed, value: Borrowed, global_index: Borrowed, options: AttentionOptions
    ) -> NativeTensor:
        with _attending((query, key, value, global_index), options) as (tensors, _, opened):
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
            return [(label, text) for label, text in a.items("label", "text")]

    def read_tensors(self, path: str) -> dict[str, NativeTensor]:
        return named_tensors(handle(library().lf_tensors_open, utf8(path, "path")))

    def write_tensors(self, path: str, tensors: Mapping[str, Borrowed]) -> None:
        with BorrowedHandles() as handles:
            library().lf_tensors_write(utf8(path, "path"), *handles.named(tensors))

    def train(
        self, task: str, checkpoint: str | None, data: Sequence[str], evaluation: Sequence[str], output: str, settings: Mapping[str, Any], watch: Watch
    ) -> dict[str, Any]:
        names = utf8(task, "task"), None if checkpoint is None else utf8(checkpoint, "checkpoint")
        with settings_of(settings, watch) as opened:
            answers = handle(library().lf_train, *names, *_paths(data, "data"), *_paths(evaluation, "eval"), utf8(output, "output"), opened)
        with Answers(answers) as a:
            items = list(a.items("label", "score", "group"))
        found: dict[str, Any] = {label: score for label, score, group in items if group == 0}
        for group, name in (1, "metrics"), (2, "deviation"):
            found[name] = {label: score for label, score, of in items if of == group}
        return found

    def evaluate(
        self, task: str, checkpoint: str, data: Sequence[str], settings: Mapping[str, Any], watch: Watch
    ) -> tuple[dict[str, float], list[str]]:
        names = utf8(task, "task"), utf8(checkpoint, "checkpoint")
        with settings_of(settings, watch) as opened:
            metrics, predictions = ctypes.c_void_p(), ctypes.c_void_p()
            library().lf_evaluate(*names, *_paths(data, "data"), opened, ctypes.byref(metrics), ctypes.byref(predictions))
        with Answers(metrics.value or 0) as a, Answers(predictions.value or 0) as b:
            return {label: score for label, score in a.items("label", "score")}, [text for text, _ in b.items("text", "id")]

    def version(self) -> str:
        text: bytes = library().lf_version()
        return text.decode()

    def torch_version(self) -> str:
        return static_text(library().lf_torch_version)

    def set_log(self, receive: Callable[[int, str], None] | None, level: int) -> None:
        def pass_on(_: Any, at: int, message: int | None, length: int) -> None:
            if receive is not None:
                receive(at, text_of(message, length))

        callback = None if receive is None else LOG(pass_on)
        library().lf_set_log(callback, None, level)
        self._log = callback

    def get_threads(self) -> int:
        return int(number(library().lf_get_threads))

    def set_threads(self, threads: int) -> None:
        library().lf_set_threads(threads)

    def cuda_available(self) -> bool:
        return bool(number(library().lf_device_count, b"cuda"))


BACKEND = CBackend()
