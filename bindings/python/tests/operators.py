"""Calls of every public operator, which the tests of gradients, tracing and torch.func go through."""
from __future__ import annotations

from typing import Any, NamedTuple

import torch


class Sample(NamedTuple):
    operator: str
    #: What is special about this call.
    kind: str
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    #: The results that have a gradient; None: no input has one.
    differentiable: int | None = 1

    def call(self, *tensors: Any) -> Any:
        """With other tensors in the place of those that are differentiated."""
        given = iter(tensors)
        arguments = [_replaced(a, given) for a in self.arguments]
        keywords = {name: _replaced(a, given) for name, a in self.keywords.items()}
        result = getattr(torch.ops.longformer, self.operator)(*arguments, **keywords)
        return result[: self.differentiable] if isinstance(result, tuple) else (result,)

    @property
    def inputs(self) -> list[torch.Tensor]:
        return list(_inputs([*self.arguments, *self.keywords.values()]))

    def __str__(self) -> str:
        return f"{self.operator}, {self.kind}"


def _inputs(values: Any) -> Any:
    for v in values:
        if isinstance(v, torch.Tensor) and v.is_floating_point():
            yield v
        elif isinstance(v, list):
            yield from _inputs(v)


def _replaced(value: Any, given: Any) -> Any:
    if isinstance(value, torch.Tensor) and value.is_floating_point():
        return next(given)
    return [_replaced(v, given) for v in value] if isinstance(value, list) else value


def samples(dtype: torch.dtype = torch.float64) -> list[Sample]:
    """Small ones, seeded."""
    g = torch.Generator().manual_seed(0)

    def t(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=g, dtype=torch.float64).to(dtype)

    def qkv(*shape: int) -> tuple[torch.Tensor, ...]:
        return t(*shape), t(*shape), t(*shape)

    index, mask = torch.tensor([[0, 5], [3, -1]]), torch.ones(2, 9, dtype=torch.bool)
    mask[1, 6:] = False
    packed_index, offsets = torch.tensor([[0, 2], [1, -1]]), [0, 5, 9]
    ids = torch.tensor([3, 1, 0, 2, 1])
    return [
        Sample("banded_attention", "plain", (*qkv(2, 9, 2, 4), 2, 1), {}),
        Sample("banded_attention", "all options", (*qkv(2, 9, 2, 4), 2, 2, [1, 2], mask, index, None, 0.3, 0.25, 7, "fused"), {}),
        Sample("banded_attention", "packed", (*qkv(9, 2, 4), 2, 2, None, None, packed_index, offsets), {}),
        Sample("banded_attention", "chunks", (*qkv(2, 9, 2, 4), 2, 2, None, mask, index, None, None, 0.0, 0, "chunks"), {}),
        Sample("relative_banded_attention", "plain", (*qkv(2, 9, 2, 4), t(4, 2, 4), None, None, 0, 3, 0), {}),
        Sample(
            "relative_banded_attention", "all options",
            (*qkv(2, 9, 2, 4), t(9, 2, 4), t(2, 4), t(2, 4), 4, 2, 2, [1, 2], mask, None, 0.3, 0.25, 7, "fused"), {},
        ),
        Sample("relative_banded_attention", "packed", (*qkv(9, 2, 4), t(5, 2, 4), t(2, 4), None, 0, 8, 0, None, None, offsets), {}),
        Sample("banded_attention_probabilities", "plain", (t(2, 9, 2, 4), t(2, 9, 2, 4), 2, 1, None, mask, index), {}, None),
        Sample("global_attention", "plain", (t(2, 2, 2, 4), t(2, 9, 2, 4), t(2, 9, 2, 4), index), {}),
        Sample("global_attention", "mask", (t(2, 2, 2, 4), t(2, 9, 2, 4), t(2, 9, 2, 4), index, mask, None, 0.3), {}),
        Sample("global_attention", "packed", (t(2, 2, 2, 4), t(9, 2, 4), t(9, 2, 4), packed_index, None, offsets), {}),
        Sample("global_attention", "dropout", (t(2, 2, 2, 4), t(2, 9, 2, 4), t(2, 9, 2, 4), index, mask, None, None, 0.25, 7), {}),
        Sample("folded_global_attention", "plain", (t(2, 2, 2, 4), t(2, 9, 6), t(8, 6), t(8), t(8, 6), t(8), index, mask), {}),
        Sample("folded_global_attention", "no biases", (t(2, 2, 2, 4), t(2, 9, 6), t(8, 6), None, t(8, 6), None, index), {}),
        Sample("folded_global_attention", "dropout", (t(2, 2, 2, 4), t(2, 9, 6), t(8, 6), t(8), t(8, 6), t(8), index, mask, None, None, 0.25, 7), {}),
        Sample("folded_global_attention", "packed", (t(2, 2, 2, 4), t(9, 6), t(8, 6), t(8), t(8, 6), t(8), packed_index, None, offsets), {}),
        Sample("global_attention_probabilities", "plain", (t(2, 2, 2, 4), t(2, 9, 2, 4), index, mask), {}),
        Sample("linear", "plain", (t(2, 5, 6), t(8, 6)), {}),
        *[
            Sample("linear", activation, (t(5, 6), t(8, 6), t(8)), {"activation": activation, "residual": t(5, 8)})
            for activation in ("none", "gelu", "gelu_tanh", "tanh")
        ],
        *[Sample("activation", activation, (t(2, 5), activation), {}) for activation in ("none", "gelu", "gelu_tanh", "relu", "tanh", "silu")],
        Sample("add_layer_norm", "plain", (t(5, 8), None, t(8), t(8), 1e-5), {}),
        Sample("add_layer_norm", "residual", (t(2, 5, 8), t(2, 5, 8), t(8), t(8), 1e-5), {}),
        Sample("embed", "ids", (t(4, 8), ids, t(6, 8), ids + 1, t(1, 8), torch.zeros_like(ids), t(8), t(8), 1e-5), {}),
        Sample("embed", "rows", (t(10, 8), None, t(5, 8), None, None, None, t(8), t(8), 1e-5), {"word_scale": 2.0}),
        Sample("hidden_dropout", "plain", (t(4, 9), 0.25, 7), {}),
        Sample("decode_attention", "plain", (t(3, 2, 4), [t(5, 2, 4), t(2, 2, 4)], [t(5, 2, 4), t(2, 2, 4)], [1, 2], []), {}),
        Sample(
            "decode_attention", "masks",
            (t(2, 2, 4), [t(5, 2, 4)], [t(5, 2, 4)], [2], [torch.tensor([[1, 0, 1, 1, 0], [1, 1, 0, 0, 1]], dtype=torch.uint8)], 0.3), {},
        ),
    ]  # fmt: skip
