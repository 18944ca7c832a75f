"""liblongformer.so by ctypes: the functions of longformer.h that are used, and failures as exceptions.

ctypes releases the GIL around every call. A test compares the signatures here with the header."""
from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Sequence
from typing import Any

from .. import _libtorch
from .._errors import CheckpointError, DeviceError, InputError, LongformerError
from .._fork import refuse_in_child, watch
from .._paths import native_library
from .._texts import whole_characters

__all__ = ["ABI_VERSION", "Cancelled", "CANCEL", "DTYPES", "LOG", "PROGRESS", "SIGNATURES", "TEXT", "library", "packed", "text_utf8", "utf8"]

ABI_VERSION = 3
CODE_POINTS = 1
NOT_FOUND = 8

#: name -> number in lf_dtype.
DTYPES = {
    "uint8": 0, "int8": 1, "int16": 2, "int32": 3, "int64": 4, "float16": 5, "float32": 6, "float64": 7, "bool": 11, "bfloat16": 15,
}  # fmt: skip

#: Arguments of each function: p a pointer or handle, s terminated text, i int32 (enums too), l int64, z size_t, d double. All give lf_status.
SIGNATURES = {
    "lf_require_abi": "i", "lf_last_error_fields": "pppp", "lf_torch_version": "p", "lf_set_threads": "i", "lf_get_threads": "p", "lf_device_count": "sp",
    "lf_set_log": "ppi", "lf_live": "pp", "lf_text_free": "p",
    "lf_load_options_create": "p", "lf_load_options_set": "pss", "lf_load_options_free": "p",
    "lf_options_create": "p", "lf_options_set_int": "psl", "lf_options_set_float": "psd", "lf_options_set_text": "pssz",
    "lf_options_set_ints": "pspz", "lf_options_set_tensor": "psp", "lf_options_free": "p",
    "lf_options_set_cancel": "ppp", "lf_options_set_cancel_interval": "pi", "lf_options_set_progress": "ppp", "lf_options_set_on_text": "ppp",
    "lf_tensor_from_memory": "pippisppp", "lf_tensor_data": "pp", "lf_tensor_describe": "ppppppp", "lf_tensor_convert": "pisp", "lf_tensor_free": "p",
    "lf_tensors_open": "sp", "lf_tensors_write": "sppz", "lf_tensors_count": "pp", "lf_tensors_at": "pzpp",
    "lf_tensors_free": "p",
    "lf_model_load": "spp", "lf_model_free": "p", "lf_model_architecture": "pp", "lf_model_run": "pppzpp", "lf_model_gradients": "pppzp",
    "lf_model_parameters": "pp", "lf_model_save": "ps", "lf_model_generate": "pppzpp",
    "lf_character_model_load": "spp", "lf_character_model_free": "p", "lf_character_model_vocabulary": "pppp", "lf_character_model_encode": "pszp",
    "lf_character_model_decode": "ppzpp", "lf_character_model_run": "ppppp", "lf_character_model_gradients": "pppp",
    "lf_character_model_parameters": "pp", "lf_character_model_save": "ps", "lf_character_model_score": "pszppppp",
    "lf_character_model_generate": "pszppp", "lf_character_model_evaluate": "pspp",
    "lf_task_max_tokens": "pp", "lf_task_tokenizer": "pp", "lf_task_label_count": "pp", "lf_task_label": "pzp", "lf_task_free": "p",
    "lf_document_encoder_load": "spp", "lf_document_encoder_encode": "pppzppp", "lf_document_encoder_encode_into": "pppzppzp",
    "lf_document_encoder_hidden_size": "pp",
    "lf_question_answerer_load": "spp", "lf_question_answerer_answer": "pszszpp",
    "lf_text_classifier_load": "spp", "lf_text_classifier_classify": "pppzpp", "lf_text_classifier_problem_type": "pp",
    "lf_token_classifier_load": "spp", "lf_token_classifier_tag": "pszpp",
    "lf_multiple_choice_load": "spp", "lf_multiple_choice_choose": "pszszppzpp",
    "lf_mask_filler_load": "spp", "lf_mask_filler_fill": "pszpp", "lf_mask_filler_mask_text": "pp",
    "lf_coreference_resolver_load": "spp", "lf_coreference_resolver_resolve": "pszpp",
    "lf_span_classifier_load": "spp", "lf_span_classifier_classify": "pszpzipp",
    "lf_summarizer_load": "spp", "lf_summarizer_summarize": "pppzpp",
    "lf_search_index_build": "sppppzpp", "lf_search_index_search": "spszpp",
    "lf_answer_count": "pp", "lf_answer_item": "pzipppppppppp", "lf_answer_tokens": "pzpp", "lf_answer_token_scores": "pzpp",
    "lf_answer_ended": "pzp", "lf_answer_free": "p",
    "lf_tokenizer_load": "sp", "lf_tokenizer_free": "p", "lf_tokenizer_encode": "pszszpp", "lf_tokenizer_encode_batch": "pppppzpp",
    "lf_tokenizer_decode": "ppzipp",
    "lf_tokenizer_token_to_id": "pszp", "lf_tokenizer_id_to_token": "pipp", "lf_tokenizer_vocabulary_size": "pp",
    "lf_tokenizer_special_token": "psp", "lf_encoding_describe": "pipppppppp",
    "lf_encoding_overflow": "pzp", "lf_encoding_free": "p",
    "lf_banded_attention": "pppllppp", "lf_relative_banded_attention": "ppppppllppp", "lf_banded_attention_probabilities": "ppllpp", "lf_global_attention": "pppppp",
    "lf_convert": "sspp", "lf_train": "sspzpzspp", "lf_evaluate": "sspzppp",
}  # fmt: skip

_TYPES: dict[str, Any] = {
    "p": ctypes.c_void_p, "s": ctypes.c_char_p, "i": ctypes.c_int32, "l": ctypes.c_int64, "z": ctypes.c_size_t, "d": ctypes.c_double,
}  # fmt: skip

CANCEL = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p)
PROGRESS = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)
TEXT = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
LOG = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int32, ctypes.c_void_p, ctypes.c_size_t)


class Cancelled(LongformerError):
    """A callback stopped the call."""


class NotFound(LongformerError):
    """There is no such item, name or property."""


_ERRORS: dict[int, type[LongformerError]] = {
    1: InputError, 2: InputError, 3: CheckpointError, 4: CheckpointError, 5: DeviceError, 7: Cancelled, NOT_FOUND: NotFound,
}  # fmt: skip

_lock = threading.Lock()
_library: Any = None


def library() -> Any:
    """The library, loaded and checked at the first call. Its functions raise where they fail.

    Raises:
        LongformerError: It cannot be loaded, or finds no libtorch, or this is a forked child, which must not call it.
    """
    global _library
    refuse_in_child()
    if _library is None:
        with _lock:
            if _library is None:
                _library = _load()
    return _library


def _load() -> Any:
    path = native_library("liblongformer.so")
    _libtorch.load()
    watch()
    try:
        lib = ctypes.CDLL(str(path))
    except OSError as e:
        raise LongformerError(f"{path} cannot be loaded: {e}") from None
    lib.lf_last_error.restype = lib.lf_version.restype = ctypes.c_char_p
    last_error: Callable[[], bytes] = lib.lf_last_error

    def check(status: int) -> int:
        if status:
            error = _ERRORS.get(status, LongformerError)(last_error().decode("utf-8", "replace"))
            raise _with_parts(lib, error) if isinstance(error, InputError) else error
        return status

    for name, arguments in SIGNATURES.items():
        try:
            function = getattr(lib, name)
        except AttributeError:
            raise LongformerError(f"{path} has no function {name}: it is of another version than this package") from None
        function.argtypes = [_TYPES[a] for a in arguments]
        # A function as the result's type is called with the int that came back: cheaper than errcheck.
        function.restype = check
    lib.lf_require_abi(ABI_VERSION)
    _require_libtorch(lib)
    return lib


def _with_parts(lib: Any, error: InputError) -> InputError:
    """The error with the parts of the last failure's message."""
    argument, expected, given, index = ctypes.c_char_p(), ctypes.c_char_p(), ctypes.c_char_p(), ctypes.c_int64(-1)
    lib.lf_last_error_fields(ctypes.byref(argument), ctypes.byref(index), ctypes.byref(expected), ctypes.byref(given))
    name, wanted, found = (None if text.value is None else text.value.decode("utf-8", "replace") for text in (argument, expected, given))
    return error._with(name, index.value, wanted, found)


def _require_libtorch(lib: Any) -> None:
    """Says at the first call that there is no libtorch, and names every place that was searched."""
    version = ctypes.c_char_p()
    try:
        lib.lf_torch_version(ctypes.byref(version))
    except LongformerError as e:
        file = _libtorch.package_libtorch()
        if os.environ.get(_libtorch.VARIABLE) or (file is not None and not _libtorch.is_too_old(file)):
            raise
        raise type(e)(f"{e}. {_libtorch.without()}") from None


def text_utf8(text: str) -> bytes:
    """A text in UTF-8. Half a surrogate pair is U+FFFD, as in .NET and in JSON: two halves that belong together are their character."""
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        return whole_characters(text).encode("utf-8")


def utf8(text: str, name: str = "name") -> bytes:
    """Returns a path or a name in UTF-8. Refuses the surrogates that Python has for bytes of a file's name that are not UTF-8."""
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as e:
        raise InputError(f"{name}: not a text that UTF-8 can hold: {e.reason} at character {e.start}") from None


def packed(texts: Sequence[str]) -> tuple[Any, Any, int]:
    """Texts, their lengths and their count, as the functions take them."""
    try:
        # UTF-8 is what str.encode does by itself.
        data = [*map(str.encode, texts)]
    except UnicodeEncodeError:
        data = [*map(text_utf8, texts)]
    count = len(data)
    if count == 1:
        # One value is an array of one, and made in a third of the time.
        return ctypes.byref(ctypes.c_char_p(data[0])), ctypes.byref(ctypes.c_size_t(len(data[0]))), 1
    return (ctypes.c_char_p * count)(*data), (ctypes.c_size_t * count)(*map(len, data)), count
