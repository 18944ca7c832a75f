"""The operators once more, out of PyTorch's own differentiable ones.

They are what a derivative is taken from where the library has none: forward mode, and the second derivative. Slower, and of more memory."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["COMPOSED"]

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda x: x, "gelu": F.gelu, "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"), "relu": F.relu, "tanh": torch.tanh, "silu": F.silu,
}  # fmt: skip


def activation(input: Tensor, activation: str) -> Tensor:
    if activation not in _ACTIVATIONS:
        raise ValueError(f'longformer::activation: activation must be one of {", ".join(_ACTIVATIONS)}, given "{activation}"')
    return _ACTIVATIONS[activation](input)


def linear(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, *, packed: Tensor | None = None, activation: str = "none",
    residual: Tensor | None = None,
) -> Tensor:  # fmt: skip
    product = COMPOSED["activation"](F.linear(input, weight, bias), activation)
    return product if residual is None else product + residual


def add_layer_norm(input: Tensor, residual: Tensor | None, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    return F.layer_norm(input if residual is None else input + residual, weight.shape, weight, bias, eps)


def hidden_dropout(input: Tensor, probability: float, seed: int) -> Tensor:
    return input * torch.ops.longformer.hidden_dropout(torch.ones_like(input, requires_grad=False), probability, seed)


def embed(
    words: Tensor, word_ids: Tensor | None, positions: Tensor, position_ids: Tensor | None, types: Tensor | None, type_ids: Tensor | None,
    weight: Tensor, bias: Tensor, eps: float, *, word_scale: float = 1.0, word_padding: int = -1, position_padding: int = -1,
) -> Tensor:  # fmt: skip
    tokens = next((ids.shape[0] for ids in (word_ids, position_ids, type_ids) if ids is not None), words.shape[0])

    def rows(table: Tensor, ids: Tensor | None, padding: int = -1) -> Tensor:
        if ids is not None:
            return F.embedding(ids, table, padding if padding >= 0 else None)
        return table if table.shape[0] == tokens else table.repeat(tokens // table.shape[0], 1)

    hidden = rows(words, word_ids, word_padding) * word_scale + rows(positions, position_ids, position_padding)
    return add_layer_norm(hidden, None if types is None else rows(types, type_ids), weight, bias, eps)


def decode_attention(
    query: Tensor, key: Sequence[Tensor], value: Sequence[Tensor], rows: Sequence[int], mask: Sequence[Tensor], scale: float | None = None
) -> Tensor:
    factor = query.shape[-1] ** -0.5 if scale is None else scale
    contexts = []
    for d, q in enumerate(query.split(list(rows))):
        scores = torch.einsum("rhd,lhd->hrl", q * factor, key[d])
        if mask and mask[d] is not None and mask[d].numel() > 0:
            scores = scores.masked_fill(mask[d] == 0, torch.finfo(scores.dtype).min)
        contexts.append(torch.einsum("hrl,lhd->rhd", scores.softmax(-1), value[d]))
    return torch.cat(contexts) if contexts else torch.zeros_like(query)


def _sequences(tokens: Sequence[Tensor], mask: Tensor | None, index: Tensor, query: Tensor, offsets: Sequence[int] | None) -> list[Any]:
    """(query, index, visible, tokens) of each part that is computed at once: all sequences, or one of the packed ones."""
    visible = None if mask is None else mask != 0
    if offsets is None:
        return [(query, index, visible, tokens)]
    return [
        (query[s : s + 1], index[s : s + 1], None if visible is None else visible[None, begin:end], [t[None, begin:end] for t in tokens])
        for s, (begin, end) in enumerate(zip(offsets, offsets[1:]))
    ]


def _probabilities(query: Tensor, key: Tensor, index: Tensor, visible: Tensor | None, scale: float | None) -> Tensor:
    """[S, G, H, L] in float32 (float64 for float64)."""
    kind = torch.float64 if query.dtype == torch.float64 else torch.float32
    factor = query.shape[-1] ** -0.5 if scale is None else scale
    empty = index < 0
    if key.shape[1] == 0:
        return query.new_zeros([*query.shape[:3], 0], dtype=kind)
    if visible is not None:
        # Whatever a hidden token holds (padding may hold NaN), nothing of it may come through.
        key = key.masked_fill(~visible[:, :, None, None], 0)
        empty = empty | ~visible.gather(1, index.clamp(min=0))
    scores = torch.einsum("sghd,slhd->sghl", query.to(kind) * factor, key.to(kind))
    if visible is not None:
        scores = scores.masked_fill(~visible[:, None, None], torch.finfo(kind).min)
    p = scores.softmax(-1)
    if visible is not None:
        p = p.masked_fill(~visible[:, None, None], 0)
    return p.masked_fill(empty[:, :, None, None], 0)


def _refuse_dropout(op: str, dropout: float) -> None:
    if dropout > 0:
        raise NotImplementedError(f"longformer::{op}: with dropout it has a gradient, but no forward-mode and no second derivative")


def global_attention(
    query: Tensor, key: Tensor, value: Tensor, global_index: Tensor, mask: Tensor | None = None, sequence_offsets: Sequence[int] | None = None,
    scale: float | None = None, dropout: float = 0.0, seed: int = 0, op: str = "global_attention",
) -> Tensor:  # fmt: skip
    _refuse_dropout(op, dropout)
    results = []
    for q, index, visible, (k, v) in _sequences((key, value), mask, global_index, query, sequence_offsets):
        p = _probabilities(q, k, index, visible, scale)
        if visible is not None:
            v = v.masked_fill(~visible[:, :, None, None], 0)
        results.append(torch.einsum("sghl,slhd->sghd", p, v.to(p.dtype)).to(query.dtype))
    return torch.cat(results) if results else torch.zeros_like(query)


def folded_global_attention(
    query: Tensor, hidden: Tensor, key_weight: Tensor, key_bias: Tensor | None, value_weight: Tensor, value_bias: Tensor | None, global_index: Tensor,
    **options: Any,
) -> Tensor:  # fmt: skip
    kind = torch.float64 if query.dtype == torch.float64 else torch.float32
    shape = (*hidden.shape[:-1], query.shape[2], query.shape[3])

    def project(weight: Tensor, bias: Tensor | None) -> Tensor:
        return F.linear(hidden.to(kind), weight.to(kind), None if bias is None else bias.to(kind)).view(shape)

    keys, values = project(key_weight, key_bias), project(value_weight, value_bias)
    attended = global_attention(query.to(kind), keys, values, global_index, op="folded_global_attention", **options)
    return attended.to(query.dtype)


def global_attention_probabilities(
    query: Tensor, key: Tensor, global_index: Tensor, mask: Tensor | None = None, sequence_offsets: Sequence[int] | None = None,
    scale: float | None = None,
) -> Tensor:  # fmt: skip
    parts = [
        _probabilities(q, k, index, visible, scale) for q, index, visible, (k,) in _sequences((key,), mask, global_index, query, sequence_offsets)
    ]
    if len(parts) == 1:
        return parts[0]
    longest = max((p.shape[-1] for p in parts), default=0)
    padded = [F.pad(p, (0, longest - p.shape[-1])) for p in parts]
    return torch.cat(padded) if padded else _probabilities(query, key[None], global_index, None, scale)


#: By the operator's name; the arguments are the operator's.
COMPOSED: dict[str, Callable[..., Any]] = {
    "activation": activation, "linear": linear, "add_layer_norm": add_layer_norm, "hidden_dropout": hidden_dropout, "embed": embed,
    "decode_attention": decode_attention, "global_attention": global_attention, "folded_global_attention": folded_global_attention,
    "global_attention_probabilities": global_attention_probabilities,
}  # fmt: skip
