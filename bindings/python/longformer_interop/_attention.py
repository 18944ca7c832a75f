"""The operators under the models, on arrays."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ._arrays import Borrowed, as_dtype, borrow, to_numpy
from ._errors import InputError, LongformerError
from ._loaded import default_door
from ._options import ATTENTIONS, _one_of

if TYPE_CHECKING:
    import numpy as np

    from ._door import Door

__all__ = ["banded_attention", "banded_attention_probabilities", "global_attention"]


def banded_attention(
    query: Any,
    key: Any,
    value: Any,
    window: int | tuple[int, int],
    *,
    dilation: int | Sequence[int] | None = None,
    global_index: Any = None,
    mask: Any = None,
    scale: float | None = None,
    implementation: str = "fused",
    return_logsumexp: bool = False,
) -> Any:
    """Windowed, dilated and global attention in one operator, as the paper draws it (window (2, 2), one global token):

    .. code-block:: text

        query 0   G G G G G G G G     <- with its own projections in the models
        query 1   G x x x . . . .
        query 2   G x x x x . . .     A query sees the keys of its window
        query 3   G x x x x x . .     and every global key, each once.
        query 4   G . x x x x x .
        query 5   G . . x x x x x

    Args:
        query: [B, T, H, D], float32, float64, bfloat16 or float16: numpy, nested lists, or anything with ``__dlpack__``. Every query, a
            global one too, is computed like a local one.
        key: As the query.
        value: As the query.
        window: Keys to the left and to the right, in steps of the dilation; one number for both; right 0 is causal.
        dilation: One step for all heads, or H of them; None: 1.
        global_index: int64 [B, G]: global positions, ascending, padded at the end with -1.
        mask: [B, T], bool or integer: nonzero is visible. Hidden queries give zeros.
        scale: Multiplies the scores; None: 1 / sqrt(D).
        implementation: ``"fused"``, ``"chunks"`` or ``"loop"``; all give the same.
        return_logsumexp: Also give log(sum(exp(scores))) [B, T, H].

    Returns:
        [B, T, H, D] as numpy (bfloat16 as float32); a query that sees nothing gives zeros.

    Raises:
        InputError: A shape, dtype or value does not fit; the message names the argument.

    >>> import numpy as np
    >>> q, k, v = np.random.default_rng(0).standard_normal((3, 1, 8, 2, 4), dtype=np.float32)
    >>> lf.banded_attention(q, k, v, window=(2, 2), global_index=[[0]]).shape
    (1, 8, 2, 4)
    >>> np.allclose(lf.banded_attention(q, k, v, window=(0, 0)), v)   # every query sees itself only
    True
    """
    return banded_by(default_door(), query, key, value, window, dilation, global_index, mask, scale, implementation, return_logsumexp)


def banded_attention_probabilities(
    query: Any,
    key: Any,
    window: int | tuple[int, int],
    *,
    dilation: int | Sequence[int] | None = None,
    global_index: Any = None,
    mask: Any = None,
    scale: float | None = None,
) -> np.ndarray:
    """The probabilities that ``banded_attention`` works with, for looking at them; in linear memory.

    Arguments as those of ``banded_attention``.

    Returns:
        float32 [B, T, H, G + left + 1 + right]: the global keys first (zero where a slot is empty), then those of the window from left to
        right, in which global keys and what lies outside the sequence are zero.

    >>> import numpy as np
    >>> q, k = np.random.default_rng(0).standard_normal((2, 1, 8, 2, 4), dtype=np.float32)
    >>> p = lf.banded_attention_probabilities(q, k, window=(2, 2), global_index=[[0]])
    >>> p.shape, np.allclose(p.sum(-1), 1)
    ((1, 8, 2, 6), True)
    """
    return probabilities_by(default_door(), query, key, window, dilation, global_index, mask, scale)


def global_attention(query: Any, key: Any, value: Any, global_index: Any, *, mask: Any = None, scale: float | None = None) -> np.ndarray:
    """The attention of the global tokens themselves: a few queries over all visible keys of their sequence.

    Args:
        query: [B, G, H, D], of the global tokens only (in the models with projections of its own).
        key: [B, T, H, D].
        value: As the key.
        global_index: int64 [B, G]: which tokens they are, ascending, padded at the end with -1.
        mask: [B, T], bool or integer: nonzero is visible.
        scale: Multiplies the scores; None: 1 / sqrt(D).

    Returns:
        [B, G, H, D]; rows whose index is -1, or whose token is hidden, are zeros.

    >>> import numpy as np
    >>> q, k, v = np.random.default_rng(0).standard_normal((3, 1, 8, 2, 4), dtype=np.float32)
    >>> own = lf.global_attention(q[:, :1], k, v, [[0]])
    >>> np.allclose(own[:, 0], lf.banded_attention(q, k, v, window=(8, 8))[:, 0], atol=1e-6)   # a window over everything
    True
    """
    return global_by(default_door(), query, key, value, global_index, mask, scale)


def banded_by(
    door: Door,
    query: Any,
    key: Any,
    value: Any,
    window: int | tuple[int, int],
    dilation: int | Sequence[int] | None,
    global_index: Any,
    mask: Any,
    scale: float | None,
    implementation: str,
    return_logsumexp: bool,
) -> Any:
    _one_of("implementation", implementation, ATTENTIONS)
    sides, steps = _sides(window), _steps(dilation)
    q, k, v = _tokens(query, "query"), borrow(key, "key"), borrow(value, "value")
    with _refusals():
        output, logsumexp = door.banded_attention(q, k, v, sides, steps, _index(global_index), _visible(mask), scale, implementation)
    if return_logsumexp:
        return to_numpy(output), to_numpy(logsumexp)
    logsumexp.release()
    return to_numpy(output)


def probabilities_by(
    door: Door,
    query: Any,
    key: Any,
    window: int | tuple[int, int],
    dilation: int | Sequence[int] | None,
    global_index: Any,
    mask: Any,
    scale: float | None,
) -> np.ndarray:
    sides, steps = _sides(window), _steps(dilation)
    q, k = _tokens(query, "query"), borrow(key, "key")
    with _refusals():
        return to_numpy(door.banded_attention_probabilities(q, k, sides, steps, _index(global_index), _visible(mask), scale))


def global_by(door: Door, query: Any, key: Any, value: Any, global_index: Any, mask: Any, scale: float | None) -> np.ndarray:
    q, k, v = _tokens(query, "query"), borrow(key, "key"), borrow(value, "value")
    index = _index(global_index)
    if index is None:
        raise InputError("global_index: expected the positions of the queries [B, G], given None")
    with _refusals():
        return to_numpy(door.global_attention(q, k, v, index, _visible(mask), scale))


def _tokens(value: Any, name: str) -> Borrowed:
    tokens = borrow(value, name)
    if len(tokens.shape) != 4:
        raise InputError(f"{name}: expected [B, T, H, D], given {tokens!r}")
    return tokens


def _sides(window: int | tuple[int, int]) -> tuple[int, int]:
    try:
        left, right = (window, window) if isinstance(window, int) else map(int, window)
    except (TypeError, ValueError):
        raise InputError(f"window: expected a number or a pair of numbers, given {window!r}") from None
    return left, right


def _steps(dilation: int | Sequence[int] | None) -> list[int] | None:
    return None if dilation is None else [dilation] if isinstance(dilation, int) else [int(d) for d in dilation]


def _index(value: Any) -> Borrowed | None:
    return None if value is None else as_dtype(borrow(value, "global_index", "int64"), "global_index", ("int64",))


def _visible(value: Any) -> Borrowed | None:
    return None if value is None else as_dtype(borrow(value, "mask", "int64"), "mask", ("bool", "uint8", "int64"))


@contextmanager
def _refusals() -> Iterator[None]:
    """What an operator itself refuses comes from libtorch, behind everything that it was given."""
    try:
        yield
    except LongformerError as e:
        given, _, reason = str(e).rpartition("attention: ")
        if "longformer::" in given:
            raise InputError(reason) from None
        raise
