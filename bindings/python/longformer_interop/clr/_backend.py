"""The pythonnet backend: the C# classes themselves, behind the protocols of ``_backend``."""
from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np

from .._arrays import Borrowed, NativeTensor, to_numpy
from .._options import AttentionOptions, GenerationOptions, LoadOptions, TaskOptions
from .._errors import CheckpointError, InputError
from .._results import Answer, ChoiceScore, Cluster, Encoding, Entity, FilledMask, Generated, LabelScore, MaskCandidate, Mention, Summary
from .._texts import whole
from .._training import _numbers
from .._watch import Watch
from ._indexing import NetSearch
from ._runtime import Net, copy_variable, start, translated

__all__ = ["BACKEND", "NetTensor", "borrow_into"]


def _whole(value: Any) -> Any:
    """Returns the value with U+FFFD for half a surrogate pair in all its texts."""
    if isinstance(value, str):
        return whole(value)
    if isinstance(value, (list, tuple)) and value and isinstance(value[0], str):
        return [whole(v) if isinstance(v, str) else v for v in value]
    if isinstance(value, dict):
        return {k: _whole(v) for k, v in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        changed = {f.name: new for f in fields(value) if isinstance(old := getattr(value, f.name), str) and (new := whole(old)) != old}
        return replace(value, **changed) if changed else value
    return value


def _whole_texts(cls: Any) -> Any:
    """Makes the texts whole that a class's methods take: pythonnet ends the process over half a surrogate pair."""

    def wrapped(method: Any) -> Any:
        @functools.wraps(method)
        def call(self: Any, *arguments: Any, **named: Any) -> Any:
            return method(self, *map(_whole, arguments), **{k: _whole(v) for k, v in named.items()})

        return call

    for name, member in list(vars(cls).items()):
        if callable(member) and not name.startswith("_") and not isinstance(member, (staticmethod, classmethod)):
            setattr(cls, name, wrapped(member))
    return cls


class NetTensor:
    """A tensor of the .NET side, with what numpy has to know of it."""

    def __init__(self, net: Net, tensor: Any) -> None:
        self.net, self.tensor = net, tensor
        info = net.bridge.TensorBridge.Describe(tensor)
        self.address: int = info.Address
        self.shape: tuple[int, ...] = tuple(info.Shape)
        self.strides: tuple[int, ...] = tuple(info.Strides)
        self.dtype: str = info.DType
        self.device: str = info.Device

    def to_cpu(self, dtype: str) -> NativeTensor:
        with translated(self.net):
            return NetTensor(self.net, self.net.bridge.TensorBridge.ToCpu(self.tensor, dtype))

    def release(self) -> None:
        self.tensor.Dispose()


def borrow_into(net: Net, b: Borrowed | None, keep_alive: object = None) -> Any:
    """A .NET tensor over borrowed memory."""
    if b is None:
        return None
    device = "cpu" if b.device == "cpu" else b.device
    return net.bridge.TensorBridge.View(b.address, list(b.shape), list(b.strides), b.dtype, device, keep_alive)


@contextmanager
def _watching(net: Net, watch: Watch, with_progress: bool = True) -> Iterator[Any]:
    call = net.bridge.PythonCall()
    system = net.system
    if with_progress and watch.progress is not None:
        call.OnProgress = system.Action[system.Int32, system.Int32, system.Int64](watch.report)
    if watch.on_token is not None:
        call.OnText = system.Action[system.String](watch.token)
    watch.when_stopped(call.Cancel)
    try:
        with translated(net):
            yield call
    finally:
        watch.when_stopped(None)
        call.Dispose()


@_whole_texts
class _NetTokenizer:
    def __init__(self, net: Net, tokenizer: Any) -> None:
        self._net, self._tokenizer = net, tokenizer
        self.vocabulary_size: int = tokenizer.VocabularySize
        roles = tokenizer.SpecialTokens
        named = {"bos": roles.Begin, "eos": roles.End, "cls": roles.Classifier, "sep": roles.Separator,
                 "pad": roles.Padding, "mask": roles.Mask, "unk": roles.Unknown}  # fmt: skip
        self.special_tokens: Mapping[str, int] = {role: int(i) for role, i in named.items() if i is not None}

    def encode(self, text: str, pair: str | None, options: Mapping[str, Any]) -> tuple[Encoding, tuple[Encoding, ...]]:
        with translated(self._net):
            packed = self._net.bridge.TextBridge.Encode(
                self._tokenizer, text, pair, options["add_special_tokens"], options["max_length"], options["stride"],
                options["truncation"], options["add_prefix_space"],
            )  # fmt: skip
        return self._unpack(packed), tuple(self._unpack(p) for p in packed.Overflowing)

    def _unpack(self, packed: Any) -> Encoding:
        ids, starts, ends, sequences, types, special, attended = to_numpy(NetTensor(self._net, packed.Matrix)).tolist()
        return Encoding(tuple(ids), tuple(zip(starts, ends)), tuple(sequences), tuple(types), tuple(special), tuple(attended))

    def encode_batch(self, given: Sequence[str], pairs: Sequence[str] | None, options: Mapping[str, Any]) -> list[Encoding]:
        with translated(self._net):
            packed = self._net.bridge.TextBridge.EncodeBatch(
                self._tokenizer, list(given), None if pairs is None else list(pairs), options["add_special_tokens"], options["max_length"],
                options["truncation"], options["add_prefix_space"], options["padding"], options["padding_side"], options["pad_to_multiple_of"],
            )  # fmt: skip
        return [self._unpack(p) for p in packed]

    def decode(self, ids: Sequence[int], skip_special_tokens: bool) -> str:
        with translated(self._net):
            return str(self._net.bridge.TextBridge.Decode(self._tokenizer, list(ids), skip_special_tokens))

    def token_to_id(self, token: str) -> int | None:
        index = self._tokenizer.TokenToId(token)
        return None if index is None else int(index)

    def id_to_token(self, index: int) -> str | None:
        token = self._tokenizer.IdToToken(index)
        return None if token is None else str(token)

    def close(self) -> None:
        self._tokenizer = None


@_whole_texts
class _NetTask:
    """A task of the .NET side; the methods are those of all tasks, each class uses its own."""

    polls = False

    def __init__(self, net: Net, task: Any) -> None:
        self._net, self._task, self._bridge = net, task, net.bridge.TaskBridge
        self._tokenizer = task.Tokenizer
        self.max_tokens = int(getattr(task, "MaxTokens", 0))
        self.hidden_size = int(getattr(task, "HiddenSize", 0))
        self.labels: Sequence[str] = tuple(map(str, task.Labels)) if hasattr(task, "Labels") else ()
        self.problem_type = str(getattr(task, "ProblemType", ""))
        self.mask_text = str(getattr(task, "MaskText", ""))

    def tokenizer(self) -> _NetTokenizer:
        return _NetTokenizer(self._net, self._tokenizer)

    def close(self) -> None:
        self._task.Dispose()

    def encode(
        self, documents: Sequence[str], pooling: str | None, normalize: bool | None, prompt: str | None, task: TaskOptions, watch: Watch
    ) -> np.ndarray | list[np.ndarray]:
        with _watching(self._net, watch) as call:
            tensors = self._bridge.Encode(
                self._task, list(documents), pooling, normalize, prompt, task.truncate, task.global_text, task.tokens_per_batch, call
            )
            arrays = [to_numpy(NetTensor(self._net, t)) for t in tensors]
        return arrays if pooling == "tokens" else arrays[0]

    def answer(
        self, question: str, document: str, top: int, max_answer_tokens: int, overlap: int, no_answer: bool, task: TaskOptions, watch: Watch
    ) -> list[Answer]:
        with _watching(self._net, watch) as call:
            spans = self._bridge.Answer(
                self._task, question, document, top, max_answer_tokens, overlap, no_answer, task.truncate, task.global_text, task.tokens_per_batch, call
            )
            return [Answer(s.Text, s.Start, s.End, s.Score, s.Logit) for s in spans]

    def classify(self, documents: Sequence[str], task: TaskOptions, watch: Watch) -> list[list[LabelScore]]:
        with _watching(self._net, watch) as call:
            rows = self._bridge.Classify(self._task, list(documents), task.truncate, task.global_text, task.tokens_per_batch, call)
            return [[LabelScore(s.Label, s.Score, s.Logit) for s in row] for row in rows]

    def tag(self, text: str, aggregation: str, task: TaskOptions, watch: Watch) -> list[Entity]:
        with _watching(self._net, watch) as call:
            spans = self._bridge.Tag(self._task, text, aggregation, task.truncate, task.global_text, call)
            return [Entity(s.Label, s.Text, s.Start, s.End, s.Score) for s in spans]

    def choose(self, document: str, choices: Sequence[str], question: str | None, task: TaskOptions, watch: Watch) -> list[ChoiceScore]:
        with _watching(self._net, watch) as call:
            scores = self._bridge.Choose(self._task, document, list(choices), question, task.truncate, task.global_text, call)
            return [ChoiceScore(s.Index, s.Choice, s.Score, s.Logit) for s in scores]

    def fill(self, text: str, top: int, task: TaskOptions, watch: Watch) -> list[FilledMask]:
        with _watching(self._net, watch) as call:
            masks = self._bridge.Fill(self._task, text, top, task.truncate, task.global_text, call)
            return [
                FilledMask(m.Start, m.End, tuple(MaskCandidate(c.Id, c.Text, c.Score) for c in m.Candidates)) for m in masks
            ]

    def classify_spans(self, text: str, spans: Sequence[tuple[int, int]], task: TaskOptions, watch: Watch) -> list[list[LabelScore]]:
        with _watching(self._net, watch) as call:
            rows = self._bridge.ClassifySpans(
                self._task, text, [s for s, _ in spans], [e for _, e in spans], task.truncate, task.global_text, call
            )
            return [[LabelScore(s.Label, s.Score, s.Logit) for s in row] for row in rows]

    def resolve(self, text: str, genre: str | None, watch: Watch) -> list[Cluster]:
        with _watching(self._net, watch) as call:
            clusters = self._bridge.Resolve(self._task, text, genre, call)
            return [Cluster(tuple(Mention(m.Text, m.Start, m.End) for m in cluster)) for cluster in clusters]

    def summarize(self, documents: Sequence[str], generation: GenerationOptions, task: TaskOptions, watch: Watch) -> list[list[Summary]]:
        text, seed, prompt = _generation(self._net, generation)
        with _watching(self._net, watch) as call:
            rows = self._bridge.Summarize(
                self._task, list(documents), text, seed, prompt, task.truncate, task.global_text, task.tokens_per_batch, call
            )
            return [[Summary(s.Text, tuple(s.Sequence.Ids), s.Sequence.Score) for s in row] for row in rows]


#: What HF calls the options whose names differ.
_HF = {
    "beams": "num_beams", "max_tokens": "max_new_tokens", "min_tokens": "min_new_tokens", "no_repeat_ngram": "no_repeat_ngram_size",
    "sample": "do_sample", "n_best": "num_return_sequences", "forced_first_token": "forced_bos_token_id", "forced_last_tokens": "forced_eos_token_id",
    "bad_words": "bad_words_ids", "suppressed_tokens": "suppress_tokens", "begin_suppressed_tokens": "begin_suppress_tokens",
    "decoder_start_token": "decoder_start_token_id", "end_tokens": "eos_token_id",
    "encoder_no_repeat_ngram": "encoder_no_repeat_ngram_size", "renormalize": "renormalize_logits", "stop_string": "stop_strings",
}  # fmt: skip


@_whole_texts
class _NetModel:
    polls = False

    def __init__(self, net: Net, model: Any, folder: str) -> None:
        self._net, self.model, self.folder = net, model, folder
        self.architecture = str(model.Architecture)
        self.dtype = str(model.DType).lower()
        self.device = str(model.Device.ToString())

    def run(self, inputs: Mapping[str, Borrowed], hidden_states: bool, attentions: bool, watch: Watch) -> dict[str, NativeTensor]:
        net = self._net
        with _watching(net, watch) as call:
            tensors = [borrow_into(net, b) for b in inputs.values()]
            return _named(net, net.bridge.TensorBridge.Run(self.model, list(inputs), tensors, hidden_states, attentions, call))

    def gradients(self, inputs: Mapping[str, Borrowed]) -> dict[str, NativeTensor]:
        net = self._net
        with translated(net):
            return _named(net, net.bridge.ModelBridge.Gradients(self.model, list(inputs), [borrow_into(net, b) for b in inputs.values()]))

    def parameters(self) -> dict[str, NativeTensor]:
        with translated(self._net):
            return _named(self._net, self._net.bridge.ModelBridge.Parameters(self.model))

    def save(self, folder: str) -> None:
        with translated(self._net):
            self.model.Save(folder)

    def generate(self, inputs: Mapping[str, Borrowed], generation: GenerationOptions, watch: Watch) -> list[list[Generated]]:
        net = self._net
        text, seed, prompt = _generation(net, generation)
        if prompt is not None:
            raise InputError("decoder_prompt: a bare model takes decoder_input_ids instead")
        with _watching(net, watch, with_progress=False) as call:
            tensors = [borrow_into(net, b) for b in inputs.values()]
            rows = net.bridge.ModelBridge.Generate(self.model, self.folder, list(inputs), tensors, text, seed, call)
            return [[Generated(tuple(s.Ids), s.Score, tuple(s.TokenScores), s.Ended) for s in row] for row in rows]

    def close(self) -> None:
        self.model.Dispose()


@_whole_texts
class _NetCharacterModel:
    polls = False

    def __init__(self, net: Net, model: Any, folder: str) -> None:
        self._net, self.model, self._folder, self._bridge = net, model, folder, net.bridge.CharacterBridge
        self._known = self._bridge.Vocabulary(folder, model)

    @property
    def _vocabulary(self) -> Any:
        if self._known is None:
            raise CheckpointError(f"{self._folder}: no vocabulary.json; it says which byte or character each id is")
        return self._known

    @property
    def symbols(self) -> Sequence[int]:
        return [int(s) for s in self._bridge.Symbols(self._vocabulary)]

    @property
    def is_bytes(self) -> bool:
        return bool(self._vocabulary.IsBytes)

    def encode(self, text: str) -> NativeTensor:
        with translated(self._net):
            return NetTensor(self._net, self._bridge.Encode(self._vocabulary, text))

    def decode(self, ids: Sequence[int]) -> str:
        with translated(self._net):
            return str(self._bridge.Decode(self._vocabulary, list(ids)))

    def run(self, ids: Borrowed, targets: Borrowed | None, logits: bool, hidden_states: bool, watch: Watch) -> dict[str, NativeTensor]:
        net = self._net
        with _watching(net, watch) as call:
            return _named(net, self._bridge.Run(self.model, borrow_into(net, ids), borrow_into(net, targets), logits, hidden_states, call))

    def gradients(self, ids: Borrowed, targets: Borrowed) -> dict[str, NativeTensor]:
        net = self._net
        with translated(net):
            return _named(net, self._bridge.Gradients(self.model, borrow_into(net, ids), borrow_into(net, targets)))

    def parameters(self) -> dict[str, NativeTensor]:
        with translated(self._net):
            return _named(self._net, self._bridge.Parameters(self.model))

    def save(self, folder: str) -> None:
        with translated(self._net):
            self._bridge.Save(self.model, self._known, folder)

    def score(self, text: str, watch: Watch) -> NativeTensor:
        vocabulary = self._vocabulary
        with _watching(self._net, watch) as call:
            return NetTensor(self._net, self._bridge.Score(self.model, vocabulary, text, call))

    def generate(self, prompt: str, settings: Mapping[str, Any], watch: Watch) -> str:
        vocabulary = self._vocabulary
        with _watching(self._net, watch) as call:
            return str(self._bridge.Generate(self.model, vocabulary, prompt, json.dumps(settings), call))

    def evaluate(self, file: str, settings: Mapping[str, Any], watch: Watch) -> dict[str, float]:
        vocabulary = self._vocabulary
        with _watching(self._net, watch) as call:
            return _numbers(json.loads(str(self._bridge.Evaluate(self.model, vocabulary, file, json.dumps(settings), call))))

    def close(self) -> None:
        self.model.Dispose()


def _named(net: Net, given: Any) -> dict[str, NativeTensor]:
    return {str(name): NetTensor(net, tensor) for name, tensor in zip(given.Names, given.Tensors)}


def _attending(net: Net, options: AttentionOptions) -> Any:
    """The options as .NET has them."""
    values = {name: list(value) if isinstance(value, tuple) else value for name, value in options.given().items()}
    tensors = {name: borrow_into(net, values.pop(name, None)) for name in ("global_index", "mask")}
    return net.bridge.AttentionBridge.Options(**values, **tensors)


def _generation(net: Net, generation: GenerationOptions) -> tuple[str, Any, list[int] | None]:
    """The options as JSON under HF's names, and the two that are no part of it."""
    given = generation.given()
    seed, prompt = given.pop("seed", None), given.pop("decoder_prompt", None)
    more = dict(given.pop("config", {}))
    text = json.dumps({**more, **{_HF.get(name, name): value for name, value in given.items()}})
    return text, None if seed is None else net.system.UInt64(seed), None if prompt is None else list(prompt)


@_whole_texts
class NetBackend(NetSearch):
    """The backend itself; .NET is started by its first use."""

    name = "clr"
    polls = False

    def load(self, task: str, folder: str | None, options: LoadOptions) -> Any:
        net = start()
        if folder is None:
            copy_variable("LONGFORMER_DEFAULT_MODEL")
        with translated(net):
            return _NetTask(net, getattr(net.namespace.Tasks, task).Load(folder, self._options(net, options)))

    def load_model(self, folder: str, options: LoadOptions) -> _NetModel:
        net = start()
        with translated(net):
            return _NetModel(net, net.namespace.Models.PretrainedModel.Load(folder, self._options(net, options)), folder)

    def load_character_model(self, folder: str, options: LoadOptions) -> _NetCharacterModel:
        net = start()
        with translated(net):
            return _NetCharacterModel(net, net.namespace.Models.CharacterLanguageModel.Load(folder, self._options(net, options)), folder)

    def load_tokenizer(self, folder: str) -> _NetTokenizer:
        net = start()
        with translated(net):
            return _NetTokenizer(net, net.namespace.Tokenizers.Tokenizer.Load(folder))

    def banded_attention(self, query: Borrowed, key: Borrowed, value: Borrowed, options: AttentionOptions) -> tuple[NativeTensor, NativeTensor]:
        net = start()
        with translated(net):
            tensors = [borrow_into(net, b) for b in (query, key, value)]
            output, logsumexp = net.bridge.AttentionBridge.Banded(*tensors, _attending(net, options))
            return NetTensor(net, output), NetTensor(net, logsumexp)

    def relative_banded_attention(
        self, inputs: Sequence[Borrowed | None], relative_zero: int, options: AttentionOptions
    ) -> tuple[NativeTensor, NativeTensor]:
        net = start()
        with translated(net):
            tensors = [borrow_into(net, b) for b in inputs]
            output, logsumexp = net.bridge.AttentionBridge.Relative(*tensors, relative_zero, _attending(net, options))
            return NetTensor(net, output), NetTensor(net, logsumexp)

    def banded_attention_probabilities(self, query: Borrowed, key: Borrowed, options: AttentionOptions) -> NativeTensor:
        net = start()
        with translated(net):
            tensors = [borrow_into(net, b) for b in (query, key)]
            return NetTensor(net, net.bridge.AttentionBridge.Probabilities(*tensors, _attending(net, options)))

    def global_attention(
        self, query: Borrowed, key: Borrowed, value: Borrowed, global_index: Borrowed, options: AttentionOptions
    ) -> NativeTensor:
        net = start()
        with translated(net):
            tensors = [borrow_into(net, b) for b in (query, key, value, global_index)]
            return NetTensor(net, net.bridge.AttentionBridge.Global(*tensors, _attending(net, options)))

    def convert(
        self, source: str, output: str, to: str, positions: int | None, window: Sequence[int] | None, base_positions: int | None, overwrite: bool
    ) -> list[tuple[str, str]]:
        net = start()
        with translated(net):
            lines = list(net.bridge.ModelBridge.Convert(
                source, output, to, positions, None if window is None else list(window), base_positions, overwrite
            ))  # fmt: skip
        return list(zip(map(str, lines[::2]), map(str, lines[1::2])))

    def read_tensors(self, path: str) -> dict[str, NativeTensor]:
        net = start()
        with translated(net):
            return _named(net, net.bridge.ModelBridge.Open(path))

    def write_tensors(self, path: str, tensors: Mapping[str, Borrowed]) -> None:
        net = start()
        with translated(net):
            net.bridge.ModelBridge.Write(path, list(tensors), [borrow_into(net, b) for b in tensors.values()])

    def train(
        self, task: str, checkpoint: str | None, data: Sequence[str], evaluation: Sequence[str], output: str, settings: Mapping[str, Any], watch: Watch
    ) -> dict[str, Any]:
        net = start()
        with _watching(net, watch) as call:
            text = net.bridge.TrainingBridge.Train(task, checkpoint, list(data), list(evaluation), output, json.dumps(settings), call)
        found: dict[str, Any] = json.loads(str(text))
        return found | {name: _numbers(found.get(name, {})) for name in ("metrics", "deviation")}

    def evaluate(
        self, task: str, checkpoint: str, data: Sequence[str], settings: Mapping[str, Any], watch: Watch
    ) -> tuple[dict[str, float], list[str]]:
        net = start()
        with _watching(net, watch) as call:
            text, *predictions = net.bridge.TrainingBridge.Evaluate(task, checkpoint, list(data), json.dumps(settings), call)
        return _numbers(json.loads(str(text))), [str(prediction) for prediction in predictions]

    def version(self) -> str:
        net = start()
        return str(net.system.Reflection.Assembly.GetAssembly(net.namespace.Torch.Tensor).GetName().Version.ToString(3))

    def torch_version(self) -> str:
        net = start()
        with translated(net):
            return str(net.namespace.Torch.TorchRuntime.Version)

    def set_log(self, receive: Callable[[int, str], None] | None, level: int) -> None:
        net = start()
        net.bridge.LogBridge.Set(None if receive is None else net.system.Action[net.system.Int32, net.system.String](receive), level)

    def get_threads(self) -> int:
        return int(start().namespace.Torch.TorchRuntime.ThreadCount)

    def set_threads(self, threads: int) -> None:
        net = start()
        with translated(net):
            net.namespace.Torch.TorchRuntime.ThreadCount = threads

    def cuda_available(self) -> bool:
        return bool(start().namespace.Torch.TorchRuntime.CudaAvailable)

    @staticmethod
    def _options(net: Net, options: LoadOptions) -> Any:
        tf32 = None if options.tf32 is None else str(options.tf32)
        return net.bridge.TaskBridge.Options(options.device, options.dtype, options.attention, options.trainable, tf32)


BACKEND = NetBackend()
