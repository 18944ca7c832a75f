"""The operators on torch tensors. Shapes: B sequences, T tokens, H heads, D head dimension, G global tokens of a sequence."""
from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

__all__ = ["banded_attention", "banded_attention_probabilities", "global_attention"]


def _longs(value: int | Sequence[int] | None) -> list[int] | None:
    return None if value is None else [value] if isinstance(value, int) else list(value)


def _operators() -> Any:
    import torch

    return torch.ops.longformer


def _sides(window: int | tuple[int, int]) -> tuple[int, int]:
    return (window, window) if isinstance(window, int) else (int(window[0]), int(window[1]))


def banded_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    window: int | tuple[int, int],
    *,
    dilation: int | Sequence[int] | None = None,
    mask: torch.Tensor | None = None,
    global_index: torch.Tensor | None = None,
    sequence_offsets: Sequence[int] | None = None,
    scale: float | None = None,
    dropout: float = 0.0,
    seed: int = 0,
    implementation: str = "fused",
    return_logsumexp: bool = False,
) -> Any:
    """Windowed, dilated and global attention; differentiable in query, key and value.

    Args:
        query: [B, T, H, D], or packed [N, H, D] with ``sequence_offsets``.
        key: As the query.
        value: As the query.
        window: Keys to the left and to the right, in steps of the dilation; one number for both; right 0 is causal.
        dilation: One step for all heads, or H of them.
        mask: [B, T] or [N], bool, uint8 or int64: nonzero is visible. Hidden queries give zeros.
        global_index: int64 [B, G] (or [S, G]): global positions, ascending, padded at the end with -1.
        sequence_offsets: S + 1 ascending offsets of packed sequences, from 0 to N.
        scale: Multiplies the scores; None: 1 / sqrt(D).
        dropout: Probability of dropping an attention probability, a function of ``seed`` and the positions.
        seed: Of the dropout.
        implementation: ``"fused"``, ``"chunks"`` or ``"loop"``.
        return_logsumexp: Also give log(sum(exp(scores))) [B, T, H].
    """
    output, logsumexp = _operators().banded_attention(
        query, key, value, *_sides(window), _longs(dilation), mask, global_index, _longs(sequence_offsets), scale, dropout, seed, implementation
    )
    return (output, logsumexp) if return_logsumexp else output


def banded_attention_probabilities(
    query: torch.Tensor,
    key: torch.Tensor,
    window: int | tuple[int, int],
    *,
    dilation: int | Sequence[int] | None = None,
    mask: torch.Tensor | None = None,
    global_index: torch.Tensor | None = None,
    scale: float | None = None,
) -> Any:
    """The probabilities of ``banded_attention`` [B, T, H, G + left + 1 + right], globals first; not differentiable."""
    return _operators().banded_attention_probabilities(query, key, *_sides(window), _longs(dilation), mask, global_index, None, scale)


def global_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    global_index: torch.Tensor,
    *,
    mask: torch.Tensor | None = None,
    sequence_offsets: Sequence[int] | None = None,
    scale: float | None = None,
    dropout: float = 0.0,
    seed: int = 0,
) -> Any:
    """The global queries [S, G, H, D] over all visible keys [B, T, H, D]; rows whose index is -1 are zeros. Differentiable."""
    return _operators().global_attention(query, key, value, global_index, mask, _longs(sequence_offsets), scale, dropout, seed)
