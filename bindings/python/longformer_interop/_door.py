"""What a door to the C# code gives: the default one (C library) and the pythonnet one fulfil the same protocols, so that the same
classes run over both. Strings and plain numbers go in; plain numbers, result dataclasses and native tensors come out."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np

    from ._arrays import Borrowed, NativeTensor
    from ._options import GenerationOptions, LoadOptions, TaskOptions
    from ._results import Answer, ChoiceScore, Encoding, Entity, FilledMask, Generated, LabelScore, Summary
    from ._watch import Watch


class NativeTokenizer(Protocol):
    """A loaded tokenizer."""

    vocabulary_size: int
    special_tokens: Mapping[str, int]

    def encode(self, text: str, pair: str | None, options: Mapping[str, Any]) -> tuple[Encoding, tuple[Encoding, ...]]: ...
    def decode(self, ids: Sequence[int], skip_special_tokens: bool) -> str: ...
    def token_to_id(self, token: str) -> int | None: ...
    def id_to_token(self, index: int) -> str | None: ...
    def close(self) -> None: ...


class NativeTask(Protocol):
    """What every loaded task has. ``hidden_size`` is 0 where it does not matter, ``labels`` empty, ``mask_text`` empty."""

    max_tokens: int
    hidden_size: int
    labels: Sequence[str]
    problem_type: str
    mask_text: str

    def tokenizer(self) -> NativeTokenizer: ...
    def close(self) -> None: ...


class NativeEncoder(NativeTask, Protocol):
    def encode(self, documents: Sequence[str], pooling: str, normalize: bool, task: TaskOptions, watch: Watch) -> np.ndarray | list[np.ndarray]: ...


class NativeAnswerer(NativeTask, Protocol):
    def answer(self, question: str, document: str, top: int, max_answer_tokens: int, overlap: int, task: TaskOptions, watch: Watch) -> list[Answer]: ...


class NativeClassifier(NativeTask, Protocol):
    def classify(self, documents: Sequence[str], task: TaskOptions, watch: Watch) -> list[list[LabelScore]]: ...


class NativeTagger(NativeTask, Protocol):
    def tag(self, text: str, aggregation: str, task: TaskOptions, watch: Watch) -> list[Entity]: ...


class NativeChooser(NativeTask, Protocol):
    def choose(self, document: str, choices: Sequence[str], question: str | None, task: TaskOptions, watch: Watch) -> list[ChoiceScore]: ...


class NativeFiller(NativeTask, Protocol):
    def fill(self, text: str, top: int, task: TaskOptions, watch: Watch) -> list[FilledMask]: ...


class NativeSummarizer(NativeTask, Protocol):
    def summarize(self, documents: Sequence[str], generation: GenerationOptions, task: TaskOptions, watch: Watch) -> list[list[Summary]]: ...


class NativeModel(Protocol):
    """A bare model of any class."""

    architecture: str
    dtype: str
    device: str

    def run(self, inputs: Mapping[str, Borrowed], hidden_states: bool, attentions: bool, watch: Watch) -> dict[str, NativeTensor]: ...
    def gradients(self, inputs: Mapping[str, Borrowed]) -> dict[str, NativeTensor]: ...
    def parameters(self) -> dict[str, NativeTensor]: ...
    def save(self, folder: str) -> None: ...
    def generate(self, inputs: Mapping[str, Borrowed], generation: GenerationOptions, watch: Watch) -> list[list[Generated]]: ...
    def close(self) -> None: ...


class Door(Protocol):
    """One way to the C# code. ``load`` takes the name of a task class and gives what the protocol of that task says."""

    name: str

    def load(self, task: str, folder: str, options: LoadOptions) -> Any: ...
    def load_model(self, folder: str, options: LoadOptions) -> NativeModel: ...
    def load_tokenizer(self, folder: str) -> NativeTokenizer: ...
    def banded_attention(
        self,
        query: Borrowed,
        key: Borrowed,
        value: Borrowed,
        window: tuple[int, int],
        dilation: Sequence[int] | None,
        global_index: Borrowed | None,
        mask: Borrowed | None,
        scale: float | None,
        implementation: str,
    ) -> tuple[NativeTensor, NativeTensor]: ...
    def convert(
        self, source: str, output: str, to: str, positions: int | None, window: Sequence[int] | None, base_positions: int | None, overwrite: bool
    ) -> list[tuple[str, str]]: ...
    def read_tensors(self, path: str) -> dict[str, NativeTensor]: ...
    def write_tensors(self, path: str, tensors: Mapping[str, Borrowed]) -> None: ...
    def version(self) -> str: ...
    def torch_version(self) -> str: ...
    def get_threads(self) -> int: ...
    def set_threads(self, threads: int) -> None: ...
    def cuda_available(self) -> bool: ...
