"""The attention of one layer as one operator, for tracers. Which tokens are global is data, so their number is unknown before the graph runs.
The operator reads it at run time, and the tracer sees shapes that follow from the inputs' shapes alone.

Q, K, V are [B, T, H, D], hidden is [B, T, C], weights are [H * D, C], biases [H * D]."""
from __future__ import annotations

from typing import Any, Optional

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["define", "global_index"]

_ARGUMENTS = (
    "Tensor query, Tensor key, Tensor value, Tensor? hidden, Tensor? query_weight, Tensor? query_bias, Tensor? key_weight, Tensor? key_bias, "
    "Tensor? value_weight, Tensor? value_bias, Tensor? is_global, Tensor? visible, int window, float dropout, Tensor? seed"
)
_GRADIENTS = ", ".join(["Tensor"] * 10)


def define(library: torch.library.Library) -> None:
    # The rows of global tokens are their own attention over all tokens. seed: one int64, on the CPU.
    library.define(f"_layer_attention({_ARGUMENTS}) -> (Tensor output, Tensor logsumexp)")
    library.define(f"_layer_attention_backward(Tensor grad_output, Tensor output, Tensor logsumexp, {_ARGUMENTS}) -> ({_GRADIENTS})")
    for device in ("CPU", "CUDA"):
        library.impl("_layer_attention", _forward, device)
        library.impl("_layer_attention_backward", _backward, device)


def global_index(is_global: Tensor) -> Tensor:
    """[B, T] flags as positions [B, G], ascending, padded at the end with -1."""
    counts = is_global.sum(1)
    slots = torch.arange(int(counts.max()), device=is_global.device)
    order = torch.argsort(is_global.logical_not().to(torch.uint8), dim=1, stable=True)[:, : len(slots)]
    return torch.where(slots < counts[:, None], order, -1)


def _index(is_global: Tensor | None) -> Tensor | None:
    """The same, None where no token is global."""
    index = None if is_global is None else global_index(is_global)
    return None if index is None or index.shape[1] == 0 else index


def _rows_of(hidden: Tensor, index: Tensor) -> Tensor:
    """[B, G, C]; slots without a token have the first token's."""
    return hidden.gather(1, index.clamp(min=0)[:, :, None].expand(-1, -1, hidden.shape[2]))


def _places(index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Sequence, slot and position of each global token."""
    sequence, slot = torch.nonzero(index >= 0, as_tuple=True)
    return sequence, slot, index[sequence, slot]


def _options(visible: Tensor | None, dropout: float, seed: Tensor | None) -> dict[str, Any]:
    """The options that all operators of a layer share."""
    return {"mask": visible, "dropout": dropout, "seed": 0 if seed is None else int(seed)}


def _forward(
    query: Tensor, key: Tensor, value: Tensor, hidden: Any, query_weight: Any, query_bias: Any, key_weight: Any, key_bias: Any, value_weight: Any,
    value_bias: Any, is_global: Tensor | None, visible: Tensor | None, window: int, dropout: float, seed: Tensor | None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    ops, options = torch.ops.longformer, _options(visible, dropout, seed)
    index = _index(is_global)
    output, logsumexp = ops.banded_attention(query, key, value, window, window, global_index=index, **options)
    if index is not None:
        rows = F.linear(_rows_of(hidden, index), query_weight, query_bias).view(*index.shape, *query.shape[2:])
        attended = ops.folded_global_attention(
            rows, hidden, key_weight, key_bias, value_weight, value_bias, index, **options
        )
        sequence, slot, position = _places(index)
        output.index_put_((sequence, position), attended[sequence, slot])
    return output, logsumexp


def _backward(
    grad_output: Tensor, output: Tensor, logsumexp: Tensor, query: Tensor, key: Tensor, value: Tensor, hidden: Any, query_weight: Any,
    query_bias: Any, key_weight: Any, key_bias: Any, value_weight: Any, value_bias: Any, is_global: Tensor | None, visible: Tensor | None,
    window: int, dropout: float, seed: Tensor | None,
) -> tuple[Optional[Tensor], ...]:  # fmt: skip
    ops, options = torch.ops.longformer, _options(visible, dropout, seed)
    index = _index(is_global)
    given = (hidden, query_weight, query_bias, key_weight, key_bias, value_weight, value_bias)
    # Promised where there are flags, also where none of them is set.
    others: tuple[Optional[Tensor], ...] = tuple(None if t is None or is_global is None else torch.zeros_like(t) for t in given)
    if index is not None:
        sequence, slot, position = _places(index)
        attended = grad_output.new_zeros(*index.shape, *query.shape[2:])
        attended[sequence, slot] = grad_output[sequence, position]
        # The window's own results of these rows went nowhere.
        grad_output = grad_output.index_put((sequence, position), grad_output.new_zeros(()))
        chosen = _rows_of(hidden, index)
        rows = F.linear(chosen, query_weight, query_bias).view(*index.shape, *query.shape[2:])
        grad_rows, grad_hidden, *grads = ops._folded_global_attention_backward(
            attended, rows, hidden, key_weight, key_bias, value_weight, value_bias, index, **options
        )
        grad_chosen, grad_weight, grad_bias = ops._linear_backward(grad_rows.flatten(2), chosen, query_weight, True, True, query_bias is not None)
        grad_hidden = grad_hidden.index_put((sequence, position), grad_chosen[sequence, slot], accumulate=True)
        others = (grad_hidden, grad_weight, grad_bias, *grads)
    banded = ops.banded_attention_backward(
        grad_output, query, key, value, output, logsumexp, window, window, global_index=index, **options
    )
    return (*banded, *others)
