"""DLPack by ctypes: reading a capsule that another library made, and making one over memory of ours."""
from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from ._errors import InputError

__all__ = ["DTYPES", "export", "read", "row_major"]

#: (type code, bits) -> name.
DTYPES = {
    (0, 8): "int8", (0, 16): "int16", (0, 32): "int32", (0, 64): "int64", (1, 8): "uint8", (6, 8): "bool",
    (2, 16): "float16", (2, 32): "float32", (2, 64): "float64", (4, 16): "bfloat16",
}  # fmt: skip
_CODES = {name: code for code, name in DTYPES.items()}


class _DLTensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]


_Deleter = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class _DLManagedTensor(ctypes.Structure):
    _fields_ = [("tensor", _DLTensor), ("context", ctypes.c_void_p), ("deleter", _Deleter)]


_get_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_get_pointer.restype, _get_pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
_Destructor = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_new_capsule = ctypes.pythonapi.PyCapsule_New
_new_capsule.restype, _new_capsule.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, _Destructor]
# The same functions on a borrowed address: inside a destructor the capsule must not get references.
_is_valid = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p)(("PyCapsule_IsValid", ctypes.pythonapi))
_pointer_of = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)(("PyCapsule_GetPointer", ctypes.pythonapi))

_NAME = b"dltensor"
# A consumer holds these: the struct, the shape, and the owner of the memory.
_lent: dict[int, tuple[Any, ...]] = {}


def read(capsule: Any) -> tuple[int, Sequence[int], Sequence[int], str, str]:
    """Address, shape, strides, dtype and device of a capsule. The capsule stays whole: its memory is ours while we hold it."""
    managed = _DLManagedTensor.from_address(_get_pointer(capsule, _NAME))
    t = managed.tensor
    dtype = DTYPES.get((t.code, t.bits))
    if dtype is None or t.lanes != 1:
        raise InputError(f"expected one of the dtypes {', '.join(_CODES)}, given DLPack's type {t.code} of {t.bits} bits and {t.lanes} lanes")
    if t.device_type not in (1, 2):
        raise InputError(f"expected memory of the CPU or of CUDA, given DLPack's device type {t.device_type}")
    shape = t.shape[: t.ndim]
    strides = t.strides[: t.ndim] if t.strides else row_major(tuple(shape))
    device = "cpu" if t.device_type == 1 else f"cuda:{t.device_id}"
    return (t.data or 0) + t.byte_offset, shape, strides, dtype, device


def export(owner: object, address: int, shape: Sequence[int], strides: Sequence[int], dtype: str, device: tuple[int, int]) -> Any:
    """A capsule over memory that ``owner`` keeps alive."""
    ndim = len(shape)
    sizes = (ctypes.c_int64 * max(ndim, 1))(*shape)
    steps = (ctypes.c_int64 * max(ndim, 1))(*strides)
    code, bits = _CODES[dtype]
    managed = _DLManagedTensor(
        _DLTensor(address, device[0], device[1], ndim, code, bits, 1, ctypes.cast(sizes, ctypes.POINTER(ctypes.c_int64)),
                  ctypes.cast(steps, ctypes.POINTER(ctypes.c_int64)), 0),
        None,
        _release,
    )  # fmt: skip
    place = ctypes.addressof(managed)
    _lent[place] = (managed, sizes, steps, owner)
    return _new_capsule(place, _NAME, _drop)


@lru_cache(maxsize=256)
def row_major(shape: tuple[int, ...]) -> tuple[int, ...]:
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= max(size, 1)
    return tuple(strides[::-1])


def _forget(place: int) -> None:
    _lent.pop(place, None)


def _forget_unread(capsule: int) -> None:
    # A capsule that nobody consumed is still called dltensor.
    if _is_valid(capsule, _NAME):
        _lent.pop(_pointer_of(capsule, _NAME), None)


_release, _drop = _Deleter(_forget), _Destructor(_forget_unread)
