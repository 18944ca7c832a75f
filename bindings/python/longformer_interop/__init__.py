"""Longformer and LED on libtorch: long documents, in numpy terms, checked number by number against the reference.

>>> import longformer_interop as lf
>>> with lf.DocumentEncoder.load(models / "encoder") as encoder:
...     encoder.encode(["A long document ..."]).shape
(1, 64)

This package talks to the C library (liblongformer.so); nothing but numpy is needed. ``longformer_interop.clr`` offers the same over
pythonnet with the whole .NET API, ``longformer_interop.torch`` the operators inside PyTorch. Nothing is loaded before it is used.
"""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._arrays import Tensor
    from ._attention import banded_attention, banded_attention_probabilities, global_attention, relative_banded_attention
    from ._character import CharacterLanguageModel, CharacterScore
    from ._errors import CheckpointError, DeviceError, InputError, LongformerError
    from ._files import convert, load_safetensors, save_safetensors
    from ._model import Model, load_model
    from ._options import AttentionOptions, GenerationOptions, LoadOptions
    from ._results import (
        Answer, ChoiceScore, Cluster, CoreferencePrediction, Encoding, Entity, FilledMask, FoundPassage, Generated, HotpotPrediction, IndexResult,
        LabelScore, MaskCandidate, Mention, Progress, SearchResult, Summary, SupportingFact, WordSpan,
    )
    from ._runtime import cuda_available, get_threads, library_version, log_to, set_threads, torch_version
    from ._search import SearchIndex
    from ._summarizer import Summarizer
    from ._tasks import (
        CoreferenceResolver, DocumentEncoder, MaskFiller, MultipleChoice, QuestionAnswerer, SpanClassifier, TextClassifier, TokenClassifier,
    )
    from ._tokenizer import Tokenizer
    from ._training import Evaluation, Trainer, TrainingEvent, TrainingOptions, TrainingResult, evaluate, train
    from ._workers import PerProcess

__version__ = "0.1.0"

_HOMES = {
    "_arrays": ("Tensor",),
    "_attention": ("banded_attention", "banded_attention_probabilities", "global_attention", "relative_banded_attention"),
    "_character": ("CharacterLanguageModel", "CharacterScore"),
    "_errors": ("CheckpointError", "DeviceError", "InputError", "LongformerError"),
    "_files": ("convert", "load_safetensors", "save_safetensors"),
    "_model": ("Model", "load_model"),
    "_options": ("AttentionOptions", "GenerationOptions", "LoadOptions"),
    "_results": (
        "Answer", "ChoiceScore", "Cluster", "CoreferencePrediction", "Encoding", "Entity", "FilledMask", "FoundPassage", "Generated",
        "HotpotPrediction", "IndexResult", "LabelScore", "MaskCandidate", "Mention", "Progress", "SearchResult", "Summary", "SupportingFact",
        "WordSpan",
    ),
    "_runtime": ("cuda_available", "get_threads", "library_version", "log_to", "set_threads", "torch_version"),
    "_search": ("SearchIndex",),
    "_summarizer": ("Summarizer",),
    "_tasks": (
        "CoreferenceResolver", "DocumentEncoder", "MaskFiller", "MultipleChoice", "QuestionAnswerer", "SpanClassifier", "TextClassifier",
        "TokenClassifier",
    ),
    "_tokenizer": ("Tokenizer",),
    "_training": ("Evaluation", "Trainer", "TrainingEvent", "TrainingOptions", "TrainingResult", "evaluate", "train"),
    "_workers": ("PerProcess",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Answer", "AttentionOptions", "CharacterLanguageModel", "CharacterScore", "CheckpointError", "ChoiceScore", "Cluster", "CoreferencePrediction",
    "CoreferenceResolver", "DeviceError", "DocumentEncoder", "Encoding", "Entity", "Evaluation", "FilledMask", "FoundPassage", "Generated",
    "GenerationOptions", "HotpotPrediction", "IndexResult", "InputError", "LabelScore", "LoadOptions", "LongformerError", "MaskCandidate",
    "MaskFiller", "Mention", "Model", "MultipleChoice", "PerProcess", "Progress", "QuestionAnswerer", "SearchIndex", "SearchResult",
    "SpanClassifier", "Summarizer", "Summary", "SupportingFact", "Tensor", "TextClassifier", "TokenClassifier", "Tokenizer", "Trainer",
    "TrainingEvent", "TrainingOptions", "TrainingResult", "WordSpan", "banded_attention", "banded_attention_probabilities", "convert",
    "cuda_available", "evaluate", "get_threads", "global_attention", "library_version", "load_model",
    "load_safetensors", "log_to", "relative_banded_attention", "save_safetensors", "set_threads", "torch_version", "train",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    # The modules, and numpy with them, are imported when first asked for: importing the package takes a few milliseconds.
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
