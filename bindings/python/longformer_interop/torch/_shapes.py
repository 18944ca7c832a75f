"""Shapes without data of every operator: what ``torch.compile``, ``torch.export`` and meta tensors see in its place.

Sizes may be symbols. The libraries' own shapes (for C#, which has no tracer) know numbers only, so these take their place in PyTorch.
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
    """The shapes of the operator of the function's name."""
    _FAKES[function.__name__] = function
    return function


#: By dtype: a packed weight, or None where it has no layout that a tracer knows.
_PACKED: dict[torch.dtype, Tensor | None] = {}


def _packed(dtype: torch.dtype) -> Tensor | None:
    return _PACKED.get(dtype, torch.empty(0))


def install(library: torch.library.Library) -> None:
    for dtype in (torch.float32, torch.float64, torch.bfloat16, torch.float16):
        packed = torch.ops.longformer.linear_pack(torch.ones(1, 1, dtype=dtype))
        _PACKED[dtype] = packed if packed.layout == torch.strided and packed.dim() == 1 else None
    for name, function in _FAKES.items():
        torch.library.register_fake(f"longformer::{name}", function, lib=library, allow_override=True)


def _like(t: Tensor) -> Tensor:
    return t.new_empty(t.shape)


def _computed(t: Tensor, shape: Sequence[int]) -> Tensor:
    """Of what is computed in float32, or in float64 from float64."""
    return t.new_empty(shape, dtype=torch.float64 if t.dtype == torch.float64 else torch.float32)


def _refuse_unless(holds: bool, op: str, message: Callable[[], str]) -> None:
    if not holds:
        raise ValueError(f"longformer::{op}: {message()}")


def _check_band(op: str, query: Tensor, key: Tensor, value: Tensor, sequence_offsets: _MaybeInts, implementation: str = "fused") -> None:
    _refuse_unless(implementation in ("fused", "chunks", "loop"), op, lambda: f'implementation must be "fused", "chunks" or "loop", got "{implementation}"')
    dimensions = 4 if sequence_offsets is None else 3
    _refuse_unless(query.dim() == dimensions, op, lambda: f"query must be {'[B, T, H, D]' if dimensions == 4 else '[N, H, D]'}, got {list(query.shape)}")
    for name, t in (("key", key), ("value", value)):
        _refuse_unless(t.shape == query.shape and t.dtype == query.dtype, op,
                       lambda: f"{name} must be like query, {query.dtype} {list(query.shape)}, got {t.dtype} {list(t.shape)}")  # noqa: B023 - called at once


@_of
def banded_attention(
    query: Tensor, key: Tensor, value: Tensor, window_left: int, window_right: int, dilation: _MaybeInts = None, mask: _MaybeTensor = None,
    global_index: _MaybeTensor = None, sequence_offsets: _MaybeInts = None, scale: float | None = None, dropout: float = 0.0, seed: int = 0,
    implementation: str = "fused",
) -> tuple[Tensor, Tensor]:  # fmt: skip
    _check_band("banded_attention", query, key, value, sequence_offsets, implementation)
    return _like(query), _computed(query, query.shape[:-1])


@_of
def banded_attention_backward(
    grad_output: Tensor, query: Tensor, key: Tensor, value: Tensor, output: Tensor, logsumexp: Tensor, window_left: int, window_right: int,
    dilation: _MaybeInts = None, mask: _MaybeTensor = None, global_index: _MaybeTensor = None, sequence_offsets: _MaybeInts = None,
    scale: float | None = None, dropout: float = 0.0, seed: int = 0, implementation: str = "fused",
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    _check_band("banded_attention_backward", query, key, value, sequence_offsets, implementation)
    return _like(query), _like(key), _like(value)


@_of
def banded_attention_probabilities(
    query: Tensor, key: Tensor, window_left: int, window_right: int, dilation: _MaybeInts = None, mask: _MaybeTensor = None,
    global_index: _MaybeTensor = None, sequence_offsets: _MaybeInts = None, scale: float | None = None,
) -> Tensor:  # fmt: skip
    _check_band("banded_attention_probabilities", query, key, key, sequence_offsets)
    globals_ = 0 if global_index is None else global_index.shape[1]
    return _computed(query, [*query.shape[:-1], globals_ + window_left + 1 + window_right])


@_of
def global_attention(
    query: Tensor, key: Tensor, value: Tensor, global_index: Tensor, mask: _MaybeTensor = None, sequence_offsets: _MaybeInts = None,
    scale: float | None = None, dropout: float = 0.0, seed: int = 0,
) -> Tensor:  # fmt: skip
    _refuse_unless(query.dim() == 4, "global_attention", lambda: f"query must be [S, G, H, D], got {list(query.shape)}")
    return _like(query)


@_of
def _global_attention_backward(
    grad_output: Tensor, query: Tensor, key: Tensor, value: Tensor, global_index: Tensor, mask: _MaybeTensor, sequence_offsets: _MaybeInts,
    scale: float | None, dropout: float, seed: int,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    return _like(query), _like(key), _like(value)


@_of
def folded_global_attention(
    query: Tensor, hidden: Tensor, key_weight: Tensor, key_bias: _MaybeTensor, value_weight: Tensor, value_bias: _MaybeTensor, global_index: Tensor,
    mask: _MaybeTensor = None, sequence_offsets: _MaybeInts = None, scale: float | None = None, dropout: float = 0.0, seed: int = 0,
) -> Tensor:  # fmt: skip
    _refuse_unless(query.dim() == 4, "folded_global_attention", lambda: f"query must be [S, G, H, D], got {list(query.shape)}")
    return _like(query)


@_of
def _folded_global_attention_backward(
    grad_output: Tensor, query: Tensor, hidden: Tensor, key_weight: Tensor, key_bias: _MaybeTensor, value_weight: Tensor, value_bias: _MaybeTensor,
    global_index: Tensor, mask: _MaybeTensor, sequence_offsets: _MaybeInts, scale: float | None, dropout: float, seed: int,
) -> tuple[_MaybeTensor, ...]:  # fmt: skip
    return tuple(None if t is None else _like(t) for t in (query, hidden, key_weight, key_bias, value_weight, value_bias))


@_of
def global_attention_probabilities(
    query: Tensor, key: Tensor, global_index: Tensor, mask: _MaybeTensor = None, sequence_offsets: _MaybeInts = None, scale: float | None = None
) -> Tensor:
    if sequence_offsets is None:
        longest = key.shape[1]
    else:
        longest = max((end - begin for begin, end in zip(sequence_offsets, sequence_offsets[1:])), default=0)
    return _computed(query, [query.shape[0], query.shape[1], query.shape[2], longest])


@_of
def _pooled_tokens(queries: Tensor, hidden: Tensor, mask: _MaybeTensor, sequence_offsets: Sequence[int]) -> Tensor:
    return _like(queries)


@_of
def linear_pack(weight: Tensor) -> Tensor:
    # How a weight is packed is the processor's business, which one of a single number tells; and how large that is, the library's.
    kind = _packed(weight.dtype)
    if kind is None:
        raise NotImplementedError(f"longformer::linear_pack: packing {weight.dtype} gives no tensor that can be traced on this processor; pack before")
    if weight.device.type not in ("cpu", "meta") or kind.numel() == 0:
        return weight.new_empty([0])
    return weight.new_empty([torch.library.get_ctx().new_dynamic_size()], dtype=kind.dtype)


@_of
def linear(
    input: Tensor, weight: Tensor, bias: _MaybeTensor = None, *, packed: _MaybeTensor = None, activation: str = "none", residual: _MaybeTensor = None
) -> Tensor:
    _refuse_unless(weight.dim() == 2 and input.dim() > 0 and input.shape[-1] == weight.shape[1], "linear",
                   lambda: f"input must be [.., I] and weight [O, I], got {list(input.shape)} and {list(weight.shape)}")  # fmt: skip
    return input.new_empty([*input.shape[:-1], weight.shape[0]])


@_of
def _linear_backward(
    grad_output: Tensor, input: Tensor, weight: Tensor, need_input: bool, need_weight: bool, need_bias: bool
) -> tuple[_MaybeTensor, _MaybeTensor, _MaybeTensor]:
    return (
        _like(input) if need_input else None,
        _like(weight) if need_weight else None,
        weight.new_empty(weight.shape[:1]) if need_bias else None,
    )


@_of
def activation(input: Tensor, activation: str) -> Tensor:
    return _like(input)


@_of
def _activation_backward(grad_output: Tensor, input: Tensor, activation: str) -> Tensor:
    return _like(input)


@_of
def hidden_dropout(input: Tensor, probability: float, seed: int) -> Tensor:
    return _like(input)


@_of
def add_layer_norm(input: Tensor, residual: _MaybeTensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    return _like(input)


@_of
def _add_layer_norm_backward(
    grad_output: Tensor, input: Tensor, residual: _MaybeTensor, weight: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    return _like(input), _like(weight), _like(weight)


@_of
def embed(
    words: Tensor, word_ids: _MaybeTensor, positions: Tensor, position_ids: _MaybeTensor, types: _MaybeTensor, type_ids: _MaybeTensor,
    weight: Tensor, bias: Tensor, eps: float, *, word_scale: float = 1.0, word_padding: int = -1, position_padding: int = -1,
) -> Tensor:  # fmt: skip
    tokens = next((ids.shape[0] for ids in (word_ids, position_ids, type_ids) if ids is not None), words.shape[0])
    return words.new_empty([tokens, words.shape[1]])


@_of
def _embed_backward(
    grad_output: Tensor, words: Tensor, word_ids: _MaybeTensor, positions: Tensor, position_ids: _MaybeTensor, types: _MaybeTensor,
    type_ids: _MaybeTensor, weight: Tensor, bias: Tensor, eps: float, word_scale: float, word_padding: int, position_padding: int,
) -> tuple[_MaybeTensor, ...]:  # fmt: skip
    return tuple(None if t is None else _like(t) for t in (words, positions, types, weight, bias))


@_of
def decode_attention(
    query: Tensor, key: Sequence[Tensor], value: Sequence[Tensor], rows: Sequence[int], mask: Sequence[Tensor], scale: float | None = None
) -> Tensor:
    return _like(query)


@_of
def _layer_attention(
    query: Tensor, key: Tensor, value: Tensor, hidden: _MaybeTensor, query_weight: _MaybeTensor, query_bias: _MaybeTensor, key_weight: _MaybeTensor,
    key_bias: _MaybeTensor, value_weight: _MaybeTensor, value_bias: _MaybeTensor, is_global: _MaybeTensor, visible: _MaybeTensor, window: int,
    dropout: float, seed: _MaybeTensor,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    return _like(query), _computed(query, query.shape[:-1])


@_of
def _layer_attention_backward(
    grad_output: Tensor, output: Tensor, logsumexp: Tensor, query: Tensor, key: Tensor, value: Tensor, hidden: _MaybeTensor,
    query_weight: _MaybeTensor, query_bias: _MaybeTensor, key_weight: _MaybeTensor, key_bias: _MaybeTensor, value_weight: _MaybeTensor,
    value_bias: _MaybeTensor, is_global: _MaybeTensor, visible: _MaybeTensor, window: int, dropout: float, seed: _MaybeTensor,
) -> tuple[_MaybeTensor, ...]:  # fmt: skip
    others = (hidden, query_weight, query_bias, key_weight, key_bias, value_weight, value_bias)
    return _like(query), _like(key), _like(value), *(None if t is None or is_global is None else _like(t) for t in others)
