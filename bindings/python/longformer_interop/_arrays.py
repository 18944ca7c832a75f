"""Arrays across the boundary. Takes numpy, lists and DLPack, without a copy where the memory allows it; returns numpy and DLPack."""
from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from ._dlpack import DTYPES as DLPACK_DTYPES
from ._dlpack import export, read, row_major
from ._errors import InputError, LongformerError
from ._fork import STATE

__all__ = ["Borrowed", "NativeTensor", "Tensor", "borrow", "to_numpy"]

#: dtype name -> bytes of an element. The names are those of numpy and torch.
SIZES = {
    "bool": 1, "uint8": 1, "int8": 1, "int16": 2, "int32": 4, "int64": 8,
    "float16": 2, "bfloat16": 2, "float32": 4, "float64": 8,
}  # fmt: skip

#: numpy's dtypes (of this machine's byte order) -> their names, and the array interface's names. numpy has no bfloat16.
_NAMES = {np.dtype(name): name for name in SIZES if name != "bfloat16"}
_TYPES = {name: dtype.str for dtype, name in _NAMES.items()}


class Borrowed:
    """The caller's memory during one call: address, shape, strides in elements, dtype, device. ``owner`` keeps it alive."""

    __slots__ = ("address", "device", "dtype", "owner", "shape", "strides")

    def __init__(self, address: int, shape: Sequence[int], strides: Sequence[int], dtype: str, device: str, owner: object) -> None:
        self.address, self.shape, self.strides = address, tuple(shape), tuple(strides)
        self.dtype, self.device, self.owner = dtype, device, owner

    def __repr__(self) -> str:
        return f"{self.dtype}{list(self.shape)} on {self.device}"


class NativeTensor(Protocol):
    """A tensor of libtorch that a backend holds. ``release`` drops the reference; ``to_cpu`` copies from a device."""

    address: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: str
    device: str

    def to_cpu(self, dtype: str) -> NativeTensor: ...
    def release(self) -> None: ...


def _interface(t: NativeTensor | Borrowed) -> dict[str, Any]:
    """The array interface of the memory, by which numpy views it."""
    size = SIZES[t.dtype]
    # None says row-major, and numpy then computes nothing.
    strides = None if t.strides == row_major(t.shape) else tuple([s * size for s in t.strides])
    return {"version": 3, "data": (t.address, False), "shape": t.shape, "strides": strides, "typestr": _TYPES[t.dtype]}


class _Owner:
    """The base of a numpy array. Frees the native tensor when the last array over it is gone."""

    __slots__ = ("__array_interface__", "__weakref__", "_native")

    def __init__(self, native: NativeTensor) -> None:
        self._native = native
        self.__array_interface__ = _interface(native)

    def __del__(self, ending: Callable[[], bool] = sys.is_finalizing, state: Any = STATE) -> None:
        if not ending() and not state.forked:
            self._native.release()


def to_numpy(native: NativeTensor) -> np.ndarray:
    """Returns an array over the memory of a native tensor and takes the tensor over. Copies only from a device or from bfloat16 (to float32)."""
    if native.device != "cpu" or native.dtype == "bfloat16":
        near = native.to_cpu("float32" if native.dtype == "bfloat16" else native.dtype)
        native.release()
        native = near
    if 0 in native.shape:
        empty = np.empty(native.shape, native.dtype)
        native.release()
        return empty
    return np.asarray(_Owner(native))


class Tensor:
    """A result in libtorch's memory, on any device and in any dtype. Calling a model with ``as_tensors=True`` returns them.

    ``numpy()`` and ``np.asarray(tensor)`` view it without a copy where they can (from a device, or bfloat16, they copy);
    ``torch.from_dlpack(tensor)`` views it everywhere. The memory lives as long as a view of it.
    """

    def __init__(self, native: NativeTensor) -> None:
        self._native = native

    @property
    def shape(self) -> tuple[int, ...]:
        return self._native.shape

    @property
    def dtype(self) -> str:
        """The name of the dtype, such as ``float32`` or ``bfloat16``."""
        return self._native.dtype

    @property
    def device(self) -> str:
        """``cpu`` or ``cuda:N``."""
        return self._native.device

    def numpy(self) -> np.ndarray:
        """The values as numpy has them; bfloat16 becomes float32."""
        n = self._native
        if n.device != "cpu" or n.dtype == "bfloat16":
            return to_numpy(n.to_cpu("float32" if n.dtype == "bfloat16" else n.dtype))
        if 0 in n.shape:
            return np.empty(n.shape, n.dtype)
        return np.asarray(_View(self))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        values = self.numpy()
        if dtype is not None and values.dtype != np.dtype(dtype):
            return values.astype(dtype)
        return values.copy() if copy else values

    def __dlpack_device__(self) -> tuple[int, int]:
        kind, _, index = self.device.partition(":")
        return (2, int(index or 0)) if kind == "cuda" else (1, 0)

    def __dlpack__(self, *, stream: Any = None, **_: Any) -> Any:
        return export(self, self._native.address, self.shape, self._native.strides, self.dtype, self.__dlpack_device__())

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a tensor without dimensions")
        return self.shape[0]

    def __repr__(self) -> str:
        return f"Tensor({self.dtype}{list(self.shape)} on {self.device})"

    def __del__(self, ending: Callable[[], bool] = sys.is_finalizing, state: Any = STATE) -> None:
        native = getattr(self, "_native", None)
        if native is not None and not ending() and not state.forked:
            native.release()


class _View:
    """The base of an array over a ``Tensor``."""

    __slots__ = ("__array_interface__", "_tensor")

    def __init__(self, tensor: Tensor) -> None:
        self._tensor = tensor
        self.__array_interface__ = _interface(tensor._native)


class _BorrowedBase:
    """The base of an array over memory that a call borrowed."""

    __slots__ = ("__array_interface__", "_borrowed")

    def __init__(self, borrowed: Borrowed) -> None:
        self._borrowed = borrowed
        self.__array_interface__ = _interface(borrowed)


def borrow(value: Any, name: str, kind: str | None = None) -> Borrowed:
    """Borrows the memory of an argument. ``kind``: the dtype that lists (and arrays of unsigned or foreign dtypes) become."""
    if not isinstance(value, np.ndarray) and hasattr(value, "__dlpack__"):
        borrowed = _borrow_dlpack(value, name)
        if borrowed is not None:
            return borrowed
    if isinstance(value, np.ndarray):
        array = value
    else:
        try:
            array = np.asarray(value, dtype=kind if isinstance(value, (list, tuple)) else None)
        except (ValueError, TypeError) as e:
            raise InputError(f"{name}: expected an array, a nested list or an object with __dlpack__, given {type(value).__name__}: {e}") from None
    return _borrow_numpy(array, name)


def as_dtype(b: Borrowed, name: str, allowed: Sequence[str]) -> Borrowed:
    """Returns the argument in one of the allowed dtypes. Copies another dtype to the first of them (nonzero for bool)."""
    if b.dtype in allowed:
        return b
    if b.device != "cpu" or b.dtype == "bfloat16":
        raise InputError(f"{name}: expected {' or '.join(allowed)}, given {b!r}")
    if isinstance(b.owner, np.ndarray):
        values = b.owner
    elif 0 in b.shape:
        values = np.zeros(b.shape, b.dtype)
    else:
        values = np.asarray(_BorrowedBase(b))
    return _borrow_numpy(values != 0 if allowed[0] == "bool" else values.astype(allowed[0]), name)


def _borrow_numpy(array: np.ndarray, name: str) -> Borrowed:
    if array.dtype.kind == "u" and array.dtype.itemsize > 1:
        array = array.astype(np.int64)
    elif not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    dtype = _NAMES.get(array.dtype)
    if dtype is None:
        raise InputError(f"{name}: expected one of the dtypes {', '.join(SIZES)}, given {array.dtype.name}")
    size = SIZES[dtype]
    address, strides = array.ctypes.data, [s // size for s in array.strides]
    # libtorch knows neither negative strides nor strides inside an element.
    if address % size or any(s < 0 or s % size for s in array.strides):
        return _borrow_numpy(array.copy(), name)
    return Borrowed(address, array.shape, strides, dtype, "cpu", array)


def _borrow_dlpack(value: Any, name: str) -> Borrowed | None:
    try:
        device = value.__dlpack_device__()
        # The stream of libtorch's default work: the legacy default stream.
        capsule = value.__dlpack__(stream=1) if int(device[0]) == 2 else value.__dlpack__()
        return Borrowed(*read(capsule), capsule)
    except LongformerError as e:
        raise InputError(f"{name}: {e}") from None
    except (BufferError, TypeError, RuntimeError, AttributeError) as e:
        # Some producers cannot give every dtype (bool), or every layout; numpy may still read them.
        if hasattr(value, "__array__") and not getattr(value, "requires_grad", False):
            return None
        raise InputError(f"{name}: {type(value).__name__} gives no DLPack: {e}") from None


assert set(DLPACK_DTYPES.values()) <= set(SIZES)
