"""The pythonnet backend: the same classes, functions and errors as ``longformer_interop``, with the whole .NET API behind ``net``.

.. code-block:: python

    import longformer_interop.clr as lf

    with lf.DocumentEncoder.load("longformer-base-4096") as encoder:
        vectors = encoder.encode(documents)

    model = lf.net.Models.LongformerModel.Load("longformer-base-4096")      # any class of the .NET API
    ids = lf.to_net(np.array([[0, 31, 2]]))                                 # a LongformerInterop.Torch.Tensor over numpy's memory
    scores = lf.from_net(some_tensor)                                       # numpy over the tensor's memory

Needs pythonnet (``pip install longformer-interop[clr]``) and .NET 10. Both start when first used, not when this is imported.
"""
from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import _attention, _character, _files, _model, _search, _summarizer, _tasks, _tokenizer, _training
from .._arrays import Tensor, borrow
from .._arrays import to_numpy as _to_numpy
from .._backend import Backend
from .._character import CharacterScore
from .._errors import CheckpointError, DeviceError, InputError, LongformerError
from .._options import AttentionOptions, GenerationOptions, LoadOptions
from .._results import (
    Answer, ChoiceScore, Cluster, CoreferencePrediction, Encoding, Entity, FilledMask, FoundPassage, Generated, HotpotPrediction, IndexResult,
    LabelScore, MaskCandidate, Mention, Progress, SearchResult, Summary, SupportingFact, WordSpan,
)  # fmt: skip
from .._runtime import log_by
from .._training import Data, Evaluation, TrainingEvent, TrainingOptions, TrainingResult
from .._watch import ProgressArgument
from .._workers import PerProcess
from ._backend import BACKEND, NetTensor, borrow_into
from ._runtime import start, translated
from ._runtime import torchsharp as _torchsharp

if TYPE_CHECKING:
    import numpy as np

    #: The namespace ``LongformerInterop`` of .NET.
    net: Any

__all__ = [
    "Answer", "AttentionOptions", "CharacterLanguageModel", "CharacterScore", "CheckpointError", "ChoiceScore", "Cluster", "CoreferencePrediction", "CoreferenceResolver",
    "DeviceError", "DocumentEncoder", "Encoding", "Entity", "Evaluation", "FilledMask", "FoundPassage",
    "Generated", "GenerationOptions", "HotpotPrediction", "IndexResult", "InputError", "LabelScore", "LoadOptions", "LongformerError", "MaskCandidate", "MaskFiller", "Mention",
    "Model", "MultipleChoice", "PerProcess", "Progress",
    "QuestionAnswerer", "SearchIndex", "SearchResult", "SpanClassifier", "Summarizer", "Summary",
    "SupportingFact", "Tensor", "TextClassifier", "TokenClassifier", "Tokenizer", "Trainer",
    "TrainingEvent", "TrainingOptions", "TrainingResult", "WordSpan", "banded_attention", "banded_attention_probabilities", "convert",
    "cuda_available", "evaluate", "from_net", "get_threads", "global_attention", "library_version", "load_model",
    "load_safetensors", "log_to", "net", "relative_banded_attention", "save_safetensors", "set_threads", "to_net", "torch_version", "torchsharp", "train",
]  # fmt: skip


class _ThisBackend:
    def __init_subclass__(cls) -> None:
        # The documentation is that of the default backend's class, the last base.
        cls.__doc__ = cls.__doc__ or cls.__bases__[-1].__doc__

    @classmethod
    def _get_backend(cls) -> Backend:
        return BACKEND


class Tokenizer(_ThisBackend, _tokenizer.Tokenizer):
    pass


class _ThisTask(_ThisBackend):
    _tokenizer_class = Tokenizer


class DocumentEncoder(_ThisTask, _tasks.DocumentEncoder):
    pass


class QuestionAnswerer(_ThisTask, _tasks.QuestionAnswerer):
    pass


class TextClassifier(_ThisTask, _tasks.TextClassifier):
    pass


class TokenClassifier(_ThisTask, _tasks.TokenClassifier):
    pass


class MultipleChoice(_ThisTask, _tasks.MultipleChoice):
    pass


class MaskFiller(_ThisTask, _tasks.MaskFiller):
    pass


class SpanClassifier(_ThisTask, _tasks.SpanClassifier):
    pass


class CoreferenceResolver(_ThisTask, _tasks.CoreferenceResolver):
    pass


class Summarizer(_ThisTask, _summarizer.Summarizer):
    pass


class SearchIndex(_ThisBackend, _search.SearchIndex):
    pass


class CharacterLanguageModel(_ThisBackend, _character.CharacterLanguageModel):
    pass


class Trainer(_ThisBackend, _training.Trainer):
    pass


class Model(_ThisBackend, _model.Model):
    @property
    def net(self) -> Any:
        """The .NET object behind it, a ``LongformerInterop.Models.PretrainedModel``. Valid until the model is closed."""
        with self._use() as native:
            return native.model  # type: ignore[attr-defined]


def load_model(
    folder: str | os.PathLike[str], *, device: str = "cpu", dtype: str | None = None, attention: str = "fused", trainable: bool = False,
    options: LoadOptions | None = None,
) -> Model:  # fmt: skip
    """As ``longformer_interop.load_model``."""
    return Model.load(folder, options=options if options is not None else LoadOptions(device, dtype, attention, trainable))


def train(
    task: str, checkpoint: str | os.PathLike[str] | None = None, *, data: Data, output: str | os.PathLike[str],
    eval: Data = None,  # noqa: A002 - as the command line
    progress: ProgressArgument = None, on_event: Callable[[TrainingEvent], Any] | None = None, options: TrainingOptions | None = None,
    **keywords: Any,
) -> TrainingResult:  # fmt: skip
    """As ``longformer_interop.train``."""
    return Trainer(task, checkpoint, data=data, output=output, eval=eval, options=options, **keywords).run(progress=progress, on_event=on_event)


def evaluate(
    task: str, checkpoint: str | os.PathLike[str], *, data: Data, output: str | os.PathLike[str] | None = None, progress: ProgressArgument = None,
    options: TrainingOptions | None = None, **keywords: Any,
) -> Evaluation:  # fmt: skip
    """As ``longformer_interop.evaluate``."""
    return _training.evaluate_by(BACKEND, task, checkpoint, data, output, progress, options, keywords)


def banded_attention(
    query: Any, key: Any, value: Any, window: int | tuple[int, int] | None = None, *, options: AttentionOptions | None = None,
    return_logsumexp: bool = False, **keywords: Any,
) -> Any:  # fmt: skip
    """As ``longformer_interop.banded_attention``."""
    return _attention.banded_by(BACKEND, query, key, value, AttentionOptions.chosen(options, window, keywords), return_logsumexp)


def relative_banded_attention(
    query: Any, key: Any, value: Any, relative: Any, window: int | tuple[int, int] | None = None, *, content_bias: Any = None,
    position_bias: Any = None, relative_zero: int = 0, options: AttentionOptions | None = None, return_logsumexp: bool = False, **keywords: Any,
) -> Any:  # fmt: skip
    """As ``longformer_interop.relative_banded_attention``."""
    tensors = _attention._relative(query, key, value, relative, content_bias, position_bias)
    return _attention.relative_by(BACKEND, tensors, relative_zero, AttentionOptions.chosen(options, window, keywords), return_logsumexp)


def banded_attention_probabilities(
    query: Any, key: Any, window: int | tuple[int, int] | None = None, *, options: AttentionOptions | None = None, **keywords: Any
) -> np.ndarray:
    """As ``longformer_interop.banded_attention_probabilities``."""
    return _attention.probabilities_by(BACKEND, query, key, AttentionOptions.chosen(options, window, keywords))


def global_attention(query: Any, key: Any, value: Any, global_index: Any, **keywords: Any) -> np.ndarray:
    """As ``longformer_interop.global_attention``."""
    return _attention.global_by(BACKEND, query, key, value, global_index, keywords)


def convert(
    source: str | os.PathLike[str], output: str | os.PathLike[str], to: str = "longformer", *, positions: int | None = None,
    window: int | Sequence[int] | None = None, base_positions: int | None = None, overwrite: bool = False,
) -> list[tuple[str, str]]:  # fmt: skip
    """As ``longformer_interop.convert``."""
    return _files.convert_by(BACKEND, source, output, to, positions, window, base_positions, overwrite)


def load_safetensors(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """As ``longformer_interop.load_safetensors``."""
    return _model._read_only(BACKEND.read_tensors(os.fspath(path)))


def save_safetensors(path: str | os.PathLike[str], tensors: Mapping[str, Any]) -> None:
    """As ``longformer_interop.save_safetensors``."""
    _files.write_by(BACKEND, path, tensors)


def to_net(value: Any) -> Any:
    """A ``LongformerInterop.Torch.Tensor`` over the memory of a numpy array (or a list, or anything with ``__dlpack__``).

    Writing to one is seen in the other; the array lives as long as the tensor's memory. A read-only array is copied.
    """
    n = start()
    borrowed = borrow(value, "value")
    owner = borrowed.owner
    if not getattr(getattr(owner, "flags", None), "writeable", True):
        borrowed = borrow(owner.copy(), "value")  # type: ignore[attr-defined]
    with translated(n):
        return borrow_into(n, borrowed, borrowed.owner)


def from_net(tensor: Any) -> np.ndarray:
    """A numpy array over the memory of a ``LongformerInterop.Torch.Tensor`` (from a device, or bfloat16, a copy).

    The tensor may be disposed afterwards: the array holds its own reference.
    """
    n = start()
    with translated(n):
        return _to_numpy(NetTensor(n, tensor.Alias().Keep()))


def library_version() -> str:
    """The version of the assemblies."""
    return BACKEND.version()


def torch_version() -> str:
    """The version of the libtorch that is loaded."""
    return BACKEND.torch_version()


def torchsharp(folder: str | os.PathLike[str]) -> Any:
    """The namespace ``LongformerInterop.TorchSharp``: every model as a TorchSharp module.

    Args:
        folder: A built .NET program with the packages LongformerInterop.TorchSharp and TorchSharp-cpu; the wheel does not carry them.

    Tensors pass as ``TensorExchange.ToTorchSharp(to_net(array))`` and ``from_net(TensorExchange.ToLongformer(tensor))``, without a copy.

    Raises:
        LongformerError: the folder has no such assemblies, or this process has loaded another libtorch than TorchSharp needs.
    """
    n = start()
    namespace = _torchsharp(Path(folder))
    with translated(n):
        # Refuses here what would be refused at the first use.
        namespace.TensorExchange.ToTorchSharp(to_net([0.0])).Dispose()
    return namespace


def get_threads() -> int:
    """How many threads one operator may use."""
    return BACKEND.get_threads()


def set_threads(threads: int) -> None:
    """Sets how many threads one operator may use, for the whole process."""
    if threads < 1:
        raise InputError(f"threads: expected at least 1, given {threads}")
    BACKEND.set_threads(threads)


def log_to(logger: logging.Logger | str | None = "longformer_interop", level: int = logging.WARNING) -> None:
    """As ``longformer_interop.log_to``."""
    log_by(BACKEND, logger, level)


def cuda_available() -> bool:
    """Whether this libtorch serves CUDA and the machine has such a device."""
    return BACKEND.cuda_available()


def __getattr__(name: str) -> Any:
    if name == "net":
        return start().namespace
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
