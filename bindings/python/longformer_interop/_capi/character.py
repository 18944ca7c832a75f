"""The character model of the C library, as the protocol of ``_backend`` has it."""
from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from .._arrays import Borrowed, NativeTensor
from .._options import LoadOptions
from .._watch import Watch
from .library import library, text_utf8, utf8
from .loading import load_handle, settings_of
from .objects import Answers, BorrowedHandles, CTensor, Options, handle, int32s, named_tensors, owned_text

__all__ = ["CCharacterModel"]


class CCharacterModel:
    polls = True

    def __init__(self, folder: str, options: LoadOptions) -> None:
        self._lib = library()
        self._handle = load_handle("lf_character_model_load", folder, options)

    @cached_property
    def _vocabulary(self) -> tuple[tuple[int, ...], bool]:
        symbols, count, is_bytes = ctypes.c_void_p(), ctypes.c_size_t(), ctypes.c_int32()
        self._lib.lf_character_model_vocabulary(self._handle, ctypes.byref(symbols), ctypes.byref(count), ctypes.byref(is_bytes))
        return int32s(symbols.value, count.value), bool(is_bytes.value)

    @property
    def symbols(self) -> Sequence[int]:
        return self._vocabulary[0]

    @property
    def is_bytes(self) -> bool:
        return self._vocabulary[1]

    def encode(self, text: str) -> NativeTensor:
        data = text_utf8(text)
        return CTensor(handle(self._lib.lf_character_model_encode, self._handle, data, len(data)))

    def decode(self, ids: Sequence[int]) -> str:
        values = (ctypes.c_int32 * max(len(ids), 1))(*ids)
        return owned_text(self._lib.lf_character_model_decode, self._handle, values, len(ids))

    def run(self, ids: Borrowed, targets: Borrowed | None, logits: bool, hidden_states: bool, watch: Watch) -> dict[str, NativeTensor]:
        options = Options(watch=watch)
        for name, flag in (("logits", logits), ("hidden_states", hidden_states)):
            if flag:
                options.put(name, True)
        with BorrowedHandles() as handles, options as opened:
            return named_tensors(handle(self._lib.lf_character_model_run, self._handle, handles.tensor(ids), handles.tensor(targets), opened))

    def gradients(self, ids: Borrowed, targets: Borrowed) -> dict[str, NativeTensor]:
        with BorrowedHandles() as handles:
            return named_tensors(handle(self._lib.lf_character_model_gradients, self._handle, handles.tensor(ids), handles.tensor(targets)))

    def parameters(self) -> dict[str, NativeTensor]:
        return named_tensors(handle(self._lib.lf_character_model_parameters, self._handle))

    def save(self, folder: str) -> None:
        self._lib.lf_character_model_save(self._handle, utf8(folder, "folder"))

    def score(self, text: str, watch: Watch) -> NativeTensor:
        data = text_utf8(text)
        with Options(watch=watch) as opened:
            return CTensor(handle(self._lib.lf_character_model_score, self._handle, data, len(data), opened, None, None, None))

    def generate(self, prompt: str, settings: Mapping[str, Any], watch: Watch) -> str:
        data = text_utf8(prompt)
        with settings_of(settings, watch) as opened:
            return owned_text(self._lib.lf_character_model_generate, self._handle, data, len(data), opened)

    def evaluate(self, file: str, settings: Mapping[str, Any], watch: Watch) -> dict[str, float]:
        with settings_of(settings, watch) as opened:
            found = handle(self._lib.lf_character_model_evaluate, self._handle, utf8(file, "file"), opened)
        with Answers(found) as a:
            return {label: score for label, score in a.items("label", "score")}

    def close(self) -> None:
        self._lib.lf_character_model_free(self._handle)
