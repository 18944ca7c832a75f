"""The shape of every operator's results, without data, for ``torch.compile``, ``torch.export`` and meta tensors.

Sizes may be symbols. The library's own shapes (for C#, which has no tracer) take numbers only, so these replace them in PyTorch.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Optional

import torch
from torch import Tensor

__all__ = ["install"]

_MaybeTensor = Optional[Tensor]
_MaybeInts = Optional[Sequence[int]]
_FAKES: dict[str, Callable[..., Any]] = {}


def _of(function: Callable[..., Any]) -> Callable[..., Any]:
    """Registers the shapes of the operator of the function's name. The function gets all arguments by name and takes those that it needs."""
    _FAKES[function.__name__] = function
    return function


def _by_name(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    schema = getattr(torch.ops.longformer, name).default._schema
    names = [a.name for a in schema.arguments]
    defaults = {a.name: a.default_value for a in schema.arguments if a.has_default_value()}

    def fake(*arguments: Any, **keywords: Any) -> Any:
        return function(**defaults | dict(zip(names, arguments)) | keywords)

    return fake


#: By dtype: a packed weight, or None where it has no layout that a tracer knows.
_PACKED: dict[torch.dtype, Tensor | None] = {}


def _packed(dtype: torch.dtype) -> Tensor | None:
    return _PACKED.get(dtype, torch.empty(0))


def install(library: torch.library.Library) -> None:
    for dtype in (torch.float32, torch.float64, torch.bfloat16, torch.float16):
        packed = torch.ops.longformer.linear_pack(torch.ones(1, 1, dtype=dtype))
        _PACKED[dtype] = packed if packed.layout == torch.strided and packed.dim() == 1 else None
    for name, function in _FAKES.items():
        torch.library.register_fake(f"longformer::{name}", _by_name(name, function), lib=library, allow_override=True)


def _like(t: Tensor) -> Tensor:
    return t.new_empty(t.shape)


def _computed(t: Tensor, shape: Sequence[int]) -> Tensor:
    """Of what is computed in float32, or in float64 from float64."""
    return t.new_empty(shape, dtype=torch.float64 if t.dtype == torch.float64 else torch.float32)


def _refuse_unless(holds: bool, op: str, message: Callable[[], str]) -> None:
    if not holds:
        raise ValueError(f"longformer::{op}: {message()}")


def _check_band(op: str, query: Tensor, key: Tensor, value: Tensor, sequence_offsets: _MaybeInts, implementation: str = "fused") -> None:
    known = implementation in ("fused", "chunks", "loop")
    _refuse_unless(known, op, lambda: f'implementation must be "fused", "chunks" or "loop", given "{implementation}"')
    expected = "[B, T, H, D]" if sequence_offsets is None else "[N, H, D]"
    _refuse_unless(query.dim() == len(expected.split(",")), op, lambda: f"query must be {expected}, given {list(query.shape)}")
    for name, t in (("key", key), ("value", value)):
        fits, given = t.shape == query.shape and t.dtype == query.dtype, f"{t.dtype} {list(t.shape)}"
        like = f"{query.dtype} {list(query.shape)}"
        _refuse_unless(fits, op, lambda: f"{name} must be like query, {like}, given {given}")  # noqa: B023 - called at once


@_of
def banded_attention(
    query: Tensor, key: Tensor, value: Tensor, sequence_offsets: _MaybeInts, implementation: str, **_: Any
) -> tuple[Tensor, Tensor]:
    _check_band("banded_attention", query, key, value, sequence_offsets, implementation)
    return _like(query), _computed(query, query.shape[:-1])


@_of
def banded_attention_backward(
    query: Tensor, key: Tensor, value: Tensor, sequence_offsets: _MaybeInts, implementation: str, **_: Any
) -> tuple[Tensor, Tensor, Tensor]:
    _check_band("banded_attention_backward", query, key, value, sequence_offsets, implementation)
    return _like(query), _like(key), _like(value)


def _check_relative(op: str, query: Tensor, relative: Tensor) -> None:
    _refuse_unless(relative.dim() == 3 and relative.shape[1:] == query.shape[-2:], op,
                   lambda: f"relative must be [P, H, D] with [H, D] = {list(query.shape[-2:])}, given {list(relative.shape)}")  # fmt: skip


@_of
def relative_banded_attention(
    query: Tensor, key: Tensor, value: Tensor, relative: Tensor, sequence_offsets: _MaybeInts, implementation: str, **_: Any
) -> tuple[Tensor, Tensor]:
    _check_band("relative_banded_attention", query, key, value, sequence_offsets, implementation)
    _check_relative("relative_banded_attention", query, relative)
    return _like(query), _computed(query, query.shape[:-1])


@_of
def relative_banded_attention_backward(
    query: Tensor, key: Tensor, value: Tensor, relative: Tensor, sequence_offsets: _MaybeInts, implementation: str, **_: Any
) -> tuple[Tensor, ...]:
    _check_band("relative_banded_attention_backward", query, key, value, sequence_offsets, implementation)
    _check_relative("relative_banded_attention_backward", query, relative)
    bias = query.shape[-2:]
    return _like(query), _like(key), _like(value), _like(relative), query.new_empty(bias), query.new_empty(bias)


@_of
def banded_attention_probabilities(
    query: Tensor, key: Tensor, window_left: int, window_right: int, global_index: _MaybeTensor, sequence_offsets: _MaybeInts, **_: Any
) -> Tensor:
    _check_band("banded_attention_probabilities", query, key, key, sequence_offsets)
    globals_ = 0 if global_index is None else global_index.shape[1]
    return _computed(query, [*query.shape[:-1], globals_ + window_left + 1 + window_right])


@_of
def global_attention(query: Tensor, **_: Any) -> Tensor:
    _refuse_unless(query.dim() == 4, "global_attention", lambda: f"query must be [S, G, H, D], given {list(query.shape)}")
    return _like(query)


@_of
def _global_attention_backward(query: Tensor, key: Tensor, value: Tensor, **_: Any) -> tuple[Tensor, Tensor, Tensor]:
    return _like(query), _like(key), _like(value)


@_of
def folded_global_attention(query: Tensor, **_: Any) -> Tensor:
    _refuse_unless(query.dim() == 4, "folded_global_attention", lambda: f"query must be [S, G, H, D], given {list(query.shape)}")
    return _like(query)


@_of
def _folded_global_attention_backward(
    query: Tensor, hidden: Tensor, key_weight: Tensor, key_bias: _MaybeTensor, value_weight: Tensor, value_bias: _MaybeTensor, **_: Any
) -> tuple[_MaybeTensor, ...]:
    return tuple(None if t is None else _like(t) for t in (query, hidden, key_weight, key_bias, value_weight, value_bias))


@_of
def global_attention_probabilities(query: Tensor, key: Tensor, sequence_offsets: _MaybeInts, **_: Any) -> Tensor:
    if sequence_offsets is None:
        longest = key.shape[1]
    else:
        longest = max((end - begin for begin, end in zip(sequence_offsets, sequence_offsets[1:])), default=0)
    return _computed(query, [query.shape[0], query.shape[1], query.shape[2], longest])


@_of
def _pooled_tokens(queries: Tensor, **_: Any) -> Tensor:
    return _like(queries)


@_of
def linear_pack(weight: Tensor) -> Tensor:
    # The processor decides how a weight is packed, which a weight of a single number shows; the library decides how large that is.
    kind = _packed(weight.dtype)
    if kind is None:
        message = f"packing {weight.dtype} gives no tensor that can be traced on this processor; pack before"
        raise NotImplementedError(f"longformer::linear_pack: {message}")
    if weight.device.type not in ("cpu", "meta") or kind.numel() == 0:
        return weight.new_empty([0])
    return weight.new_empty([torch.library.get_ctx().new_dynamic_size()], dtype=kind.dtype)


@_of
def linear(input: Tensor, weight: Tensor, **_: Any) -> Tensor:
    _refuse_unless(weight.dim() == 2 and input.dim() > 0 and input.shape[-1] == weight.shape[1], "linear",
                   lambda: f"input must be [.., I] and weight [O, I], given {list(input.shape)} and {list(weight.shape)}")  # fmt: skip
    return input.new_empty([*input.shape[:-1], weight.shape[0]])


@_of
def _linear_backward(
    input: Tensor, weight: Tensor, need_input: bool, need_weight: bool, need_bias: bool, **_: Any
) -> tuple[_MaybeTensor, _MaybeTensor, _MaybeTensor]:
    return (
        _like(input) if need_input else None,
        _like(weight) if need_weight else None,
        weight.new_empty(weight.shape[:1]) if need_bias else None,
    )


@_of
def activation(input: Tensor, **_: Any) -> Tensor:
    return _like(input)


@_of
def _activation_backward(input: Tensor, **_: Any) -> Tensor:
    return _like(input)


@_of
def hidden_dropout(input: Tensor, **_: Any) -> Tensor:
    return _like(input)


@_of
def add_layer_norm(input: Tensor, **_: Any) -> Tensor:
    return _like(input)


@_of
def _add_layer_norm_backward(input: Tensor, weight: Tensor, **_: Any) -> tuple[Tensor, Tensor, Tensor]:
    return _like(input), _like(weight), _like(weight)


@_of
def embed(words: Tensor, word_ids: _MaybeTensor, position_ids: _MaybeTensor, type_ids: _MaybeTensor, **_: Any) -> Tensor:
    tokens = next((ids.shape[0] for ids in (word_ids, position_ids, type_ids) if ids is not None), words.shape[0])
    return words.new_empty([tokens, words.shape[1]])


@_of
def _embed_backward(
    words: Tensor, positions: Tensor, types: _MaybeTensor, weight: Tensor, bias: Tensor, **_: Any
) -> tuple[_MaybeTensor, ...]:
    return tuple(None if t is None else _like(t) for t in (words, positions, types, weight, bias))


@_of
def decode_attention(query: Tensor, **_: Any) -> Tensor:
    return _like(query)


@_of
def _layer_attention(query: Tensor, **_: Any) -> tuple[Tensor, Tensor]:
    return _like(query), _computed(query, query.shape[:-1])


@_of
def _layer_attention_backward(
    query: Tensor, key: Tensor, value: Tensor, hidden: _MaybeTensor, query_weight: _MaybeTensor, query_bias: _MaybeTensor, key_weight: _MaybeTensor,
    key_bias: _MaybeTensor, value_weight: _MaybeTensor, value_bias: _MaybeTensor, is_global: _MaybeTensor, **_: Any,
) -> tuple[_MaybeTensor, ...]:  # fmt: skip
    others = (hidden, query_weight, query_bias, key_weight, key_bias, value_weight, value_bias)
    return _like(query), _like(key), _like(value), *(None if t is None or is_global is None else _like(t) for t in others)
