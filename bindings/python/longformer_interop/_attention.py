"""The operators under the models, on arrays."""
from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ._arrays import Borrowed, as_dtype, borrow, to_numpy
from ._errors import InputError
from ._loaded import default_backend
from ._options import AttentionOptions

if TYPE_CHECKING:
    import numpy as np

    from ._backend import Backend

__all__ = ["banded_attention", "banded_attention_probabilities", "global_attention", "relative_banded_attention"]


def banded_attention(
    query: Any, key: Any, value: Any, window: int | tuple[int, int] | None = None, *, options: AttentionOptions | None = None,
    return_logsumexp: bool = False, **keywords: Any,
) -> Any:  # fmt: skip
    """Windowed, dilated and global attention in one operator, as the paper draws it (window (2, 2), one global token):

    .. code-block:: text

        query 0   G G G G G G G G     <- with its own projections in the models
        query 1   G x x x . . . .
        query 2   G x x x x . . .     A query sees the keys of its window
        query 3   G x x x x x . .     and every global key, each once.
        query 4   G . x x x x x .
        query 5   G . . x x x x x

    Args:
        query: [B, T, H, D], or packed [N, H, D] with ``sequence_offsets``; float32, float64, bfloat16 or float16: numpy, nested lists, or
            anything with ``__dlpack__``. Every query, a global one too, is computed like a local one.
        key: As the query.
        value: As the query.
        window: As in ``AttentionOptions``.
        options: All options in one object; ``window`` and the keywords take the place of single ones.
        return_logsumexp: Also give log(sum(exp(scores))) [B, T, H] or [N, H].
        **keywords: Single options: ``dilation``, ``global_index``, ``mask``, ``scale`` and the others of ``AttentionOptions``.

    Returns:
        Like the query, as numpy (bfloat16 as float32); a query that sees nothing gives zeros.

    Raises:
        InputError: A shape, dtype or value does not fit; the message names the argument.
        TypeError: There is no window, or no option of that name.

    >>> import numpy as np
    >>> q, k, v = np.random.default_rng(0).standard_normal((3, 1, 8, 2, 4), dtype=np.float32)
    >>> lf.banded_attention(q, k, v, window=(2, 2), global_index=[[0]]).shape
    (1, 8, 2, 4)
    >>> np.allclose(lf.banded_attention(q, k, v, window=(0, 0)), v)   # every query sees itself only
    True
    """
    return banded_by(default_backend(), query, key, value, AttentionOptions.chosen(options, window, keywords), return_logsumexp)


def banded_attention_probabilities(
    query: Any, key: Any, window: int | tuple[int, int] | None = None, *, options: AttentionOptions | None = None, **keywords: Any
) -> np.ndarray:
    """The probabilities that ``banded_attention`` works with, for looking at them; in linear memory.

    Arguments as those of ``banded_attention``, without ``dropout``, ``seed`` and ``implementation``.

    Returns:
        float32 [B, T, H, G + left + 1 + right]: the global keys first (zero where a slot is empty), then those of the window from left to
        right, in which global keys and keys outside the sequence are zero.

    >>> import numpy as np
    >>> q, k = np.random.default_rng(0).standard_normal((2, 1, 8, 2, 4), dtype=np.float32)
    >>> p = lf.banded_attention_probabilities(q, k, window=(2, 2), global_index=[[0]])
    >>> p.shape, np.allclose(p.sum(-1), 1)
    ((1, 8, 2, 6), True)
    """
    return probabilities_by(default_backend(), query, key, AttentionOptions.chosen(options, window, keywords))


def global_attention(query: Any, key: Any, value: Any, global_index: Any, **keywords: Any) -> np.ndarray:
    """The attention of the global tokens themselves: a few queries over all visible keys of their sequence.

    Args:
        query: [B, G, H, D], of the global tokens only (in the models with their own projections).
        key: [B, T, H, D], or packed [N, H, D] with ``sequence_offsets``.
        value: As the key.
        global_index: int64 [B, G]: which tokens they are, ascending, padded at the end with -1.
        **keywords: ``mask``, ``sequence_offsets``, ``scale``, ``dropout`` and ``seed`` of ``AttentionOptions``.

    Returns:
        [B, G, H, D]; rows whose index is -1, or whose token is hidden, are zeros.

    >>> import numpy as np
    >>> q, k, v = np.random.default_rng(0).standard_normal((3, 1, 8, 2, 4), dtype=np.float32)
    >>> own = lf.global_attention(q[:, :1], k, v, [[0]])
    >>> np.allclose(own[:, 0], lf.banded_attention(q, k, v, window=(8, 8))[:, 0], atol=1e-6)   # a window over everything
    True
    """
    return global_by(default_backend(), query, key, value, global_index, keywords)


def relative_banded_attention(
    query: Any, key: Any, value: Any, relative: Any, window: int | tuple[int, int] | None = None, *, content_bias: Any = None,
    position_bias: Any = None, relative_zero: int = 0, options: AttentionOptions | None = None, return_logsumexp: bool = False, **keywords: Any,
) -> Any:  # fmt: skip
    """Windowed and dilated attention with relative positions (Transformer-XL).

    The score of query i and key j of a sequence is
    ``scale * ((query_i + content_bias) . key_j + (query_i + position_bias) . relative[relative_zero + i - j])``, i and j counted in tokens.

    Args:
        query: [B, T, H, D], or packed [N, H, D] with ``sequence_offsets``.
        key: As the query.
        value: As the query.
        relative: [P, H, D], a row for every distance in tokens that a window reaches inside a sequence.
        window: As in ``AttentionOptions``; ``(left, 0)`` is causal.
        content_bias: [H, D] (``r_w_bias``); None: zeros.
        position_bias: [H, D] (``r_r_bias``); None: zeros.
        relative_zero: The row of distance 0.
        options: All options in one object; ``window`` and the keywords take the place of single ones.
        return_logsumexp: Also give log(sum(exp(scores))) [B, T, H] or [N, H].
        **keywords: Single options of ``AttentionOptions``; there is no ``global_index`` here.

    Returns:
        Like the query, as numpy (bfloat16 as float32).

    >>> import numpy as np
    >>> q, k, v = np.random.default_rng(0).standard_normal((3, 1, 8, 2, 4), dtype=np.float32)
    >>> nothing = np.zeros((4, 2, 4), np.float32)
    >>> out = lf.relative_banded_attention(q, k, v, nothing, window=(3, 0))
    >>> np.allclose(out, lf.banded_attention(q, k, v, window=(3, 0)))   # distances that say nothing
    True
    """
    tensors = _relative(query, key, value, relative, content_bias, position_bias)
    return relative_by(default_backend(), tensors, relative_zero, AttentionOptions.chosen(options, window, keywords), return_logsumexp)


def _relative(*tensors: Any) -> list[Borrowed | None]:
    names = "query", "key", "value", "relative", "content_bias", "position_bias"
    return [None if value is None and name.endswith("_bias") else borrow(value, name) for value, name in zip(tensors, names)]


def relative_by(
    backend: Backend, tensors: list[Borrowed | None], relative_zero: int, options: AttentionOptions, return_logsumexp: bool
) -> Any:
    _refuse("relative_banded_attention", options, "global_index")
    output, logsumexp = backend.relative_banded_attention(tensors, relative_zero, _borrowed(options))
    if return_logsumexp:
        return to_numpy(output), to_numpy(logsumexp)
    logsumexp.release()
    return to_numpy(output)


def banded_by(backend: Backend, query: Any, key: Any, value: Any, options: AttentionOptions, return_logsumexp: bool) -> Any:
    output, logsumexp = backend.banded_attention(borrow(query, "query"), borrow(key, "key"), borrow(value, "value"), _borrowed(options))
    if return_logsumexp:
        return to_numpy(output), to_numpy(logsumexp)
    logsumexp.release()
    return to_numpy(output)


def probabilities_by(backend: Backend, query: Any, key: Any, options: AttentionOptions) -> np.ndarray:
    _refuse("banded_attention_probabilities", options, "dropout", "seed", "implementation")
    return to_numpy(backend.banded_attention_probabilities(borrow(query, "query"), borrow(key, "key"), _borrowed(options)))


def global_by(backend: Backend, query: Any, key: Any, value: Any, global_index: Any, keywords: dict[str, Any]) -> np.ndarray:
    index = _index(global_index)
    if index is None:
        raise InputError("global_index: expected the positions of the queries [B, G], given None")
    # There is no window: the queries see everything.
    options = AttentionOptions(0, **keywords)
    _refuse("global_attention", options, "dilation", "implementation")
    return to_numpy(backend.global_attention(borrow(query, "query"), borrow(key, "key"), borrow(value, "value"), index, _borrowed(options)))


def _refuse(function: str, options: AttentionOptions, *names: str) -> None:
    given = options.given()
    for name in names:
        if name in given:
            raise InputError(f"{name}: expected no such option for {function}, given {given[name]!r}")


def _borrowed(options: AttentionOptions) -> AttentionOptions:
    """The same with arrays borrowed, as a backend takes them."""
    if options.global_index is None and options.mask is None:
        return options
    mask = None if options.mask is None else as_dtype(borrow(options.mask, "mask", "int64"), "mask", ("bool", "uint8", "int64"))
    return replace(options, global_index=_index(options.global_index), mask=mask)


def _index(value: Any) -> Borrowed | None:
    return None if value is None else as_dtype(borrow(value, "global_index", "int64"), "global_index", ("int64",))
