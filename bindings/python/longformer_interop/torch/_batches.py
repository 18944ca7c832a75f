"""``torch.vmap`` over the operators: one call after the other, so that each keeps its meaning (dropout depends on positions)."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ._composed import COMPOSED

__all__ = ["install"]

#: Tensors as keywords, which ``register_vmap`` does not take; PyTorch's own operators know batches.
_BY_COMPOSITION = ("linear",)


def install(library: torch.library.Library) -> None:
    for qualified in torch._C._dispatch_get_all_op_names():
        name = qualified.removeprefix("longformer::")
        if name == qualified:
            continue
        overload = getattr(getattr(torch.ops.longformer, name.partition(".")[0]), name.partition(".")[2] or "default")
        schema = overload._schema
        if name in _BY_COMPOSITION:
            library.impl(qualified, COMPOSED[name], "FuncTorchBatched")
        elif not schema.is_mutable and any("Tensor" in str(a.type) for a in schema.arguments):
            torch.library.register_vmap(qualified, _one_by_one(overload), lib=library)


def _one_by_one(overload: Any) -> Callable[..., Any]:
    def rule(info: Any, dims: Any, *arguments: Any, **keywords: Any) -> Any:
        results = [overload(*[_pick(a, d, i) for a, d in zip(arguments, dims)], **keywords) for i in range(info.batch_size)]
        if isinstance(results[0], Tensor):
            return torch.stack(results), 0
        stacked = [None if parts[0] is None else torch.stack(parts) for parts in zip(*results)]
        return tuple(stacked), tuple(None if t is None else 0 for t in stacked)

    return rule


def _pick(argument: Any, dim: Any, place: int) -> Any:
    """One of the batch."""
    if isinstance(argument, Tensor):
        return argument if dim is None else argument.select(dim, place)
    if isinstance(argument, (list, tuple)) and isinstance(dim, (list, tuple)):
        return [_pick(a, d, place) for a, d in zip(argument, dim)]
    return argument
