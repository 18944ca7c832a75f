"""The operators on torch tensors. Shapes: B sequences, T tokens, H heads, D head dimension, G global tokens of a sequence."""
from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .._options import AttentionOptions

if TYPE_CHECKING:
    import torch

__all__ = ["banded_attention", "banded_attention_probabilities", "global_attention", "relative_banded_attention"]


def _operators() -> Any:
    import torch

    return torch.ops.longformer


def _arguments(options: AttentionOptions | None, window: Any, keywords: Mapping[str, Any]) -> dict[str, Any]:
    """The options as the operator's schema names them, which are this package's names but for the window. torch.compile sees it as a
    dictionary: the operators check what is in it."""
    chosen = {**({} if options is None else options.given()), **keywords}
    if window is None:
        if "window" not in chosen:
            raise TypeError("banded_attention() missing the option 'window'")
        window = chosen.pop("window")
    left, right = (window, window) if isinstance(window, int) else window
    dilation = chosen.get("dilation")
    if isinstance(dilation, int):
        chosen["dilation"] = [dilation]
    return {**chosen, "window_left": left, "window_right": right}


def banded_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, window: int | tuple[int, int] | None = None, *,
    options: AttentionOptions | None = None, return_logsumexp: bool = False, **keywords: Any,
) -> Any:  # fmt: skip
    """Windowed, dilated and global attention; differentiable in query, key and value.

    Args:
        query: [B, T, H, D], or packed [N, H, D] with ``sequence_offsets``.
        key: As the query.
        value: As the query.
        window: As in ``longformer_interop.AttentionOptions``.
        options: All options in one object; ``window`` and the keywords take the place of single ones.
        return_logsumexp: Also give log(sum(exp(scores))) [B, T, H] or [N, H].
        **keywords: Single options of ``AttentionOptions``; ``mask`` and ``global_index`` are tensors.
    """
    output, logsumexp = _operators().banded_attention(query, key, value, **_arguments(options, window, keywords))
    return (output, logsumexp) if return_logsumexp else output


def relative_banded_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, relative: torch.Tensor, window: int | tuple[int, int], *,
    content_bias: torch.Tensor | None = None, position_bias: torch.Tensor | None = None, relative_zero: int = 0, return_logsumexp: bool = False,
    **keywords: Any,
) -> Any:  # fmt: skip
    """Windowed and dilated attention with relative positions (Transformer-XL); differentiable in all its tensors.

    The score of query i and key j of a sequence is
    ``scale * ((query_i + content_bias) . key_j + (query_i + position_bias) . relative[relative_zero + i - j])``.

    Args:
        query: [B, T, H, D], or packed [N, H, D] with ``sequence_offsets``.
        key: As the query.
        value: As the query.
        relative: [P, H, D], a row for every distance in tokens that a window reaches inside a sequence.
        window: Keys on either side in steps of the dilation; ``(left, 0)`` is causal.
        content_bias: [H, D] (``r_w_bias``), or None for zeros.
        position_bias: [H, D] (``r_r_bias``), or None for zeros.
        relative_zero: The row of distance 0.
        return_logsumexp: Also give log(sum(exp(scores))) [B, T, H] or [N, H].
        **keywords: ``dilation``, ``mask``, ``sequence_offsets``, ``scale``, ``dropout``, ``seed``, ``implementation`` of ``AttentionOptions``.
    """
    output, logsumexp = _operators().relative_banded_attention(
        query, key, value, relative, content_bias, position_bias, relative_zero, **_arguments(None, window, keywords)
    )
    return (output, logsumexp) if return_logsumexp else output


def banded_attention_probabilities(
    query: torch.Tensor, key: torch.Tensor, window: int | tuple[int, int] | None = None, *, options: AttentionOptions | None = None, **keywords: Any
) -> Any:
    """The probabilities of ``banded_attention`` [B, T, H, G + left + 1 + right], globals first; not differentiable."""
    return _operators().banded_attention_probabilities(query, key, **_arguments(options, window, keywords))


def global_attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, global_index: torch.Tensor, **keywords: Any) -> Any:
    """The global queries [S, G, H, D] over all visible keys [B, T, H, D]; rows whose index is -1 are zeros. Differentiable.

    Keywords are ``mask``, ``sequence_offsets``, ``scale``, ``dropout`` and ``seed`` of ``AttentionOptions``.
    """
    return _operators().global_attention(query, key, value, global_index, **keywords)
