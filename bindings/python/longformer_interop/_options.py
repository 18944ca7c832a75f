"""Options as frozen dataclasses: comparable, picklable, with a ``repr`` that can be pasted back."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, fields, replace
from typing import Any, Union

from ._errors import InputError

__all__ = ["AttentionOptions", "GenerationOptions", "LoadOptions"]

DTYPES = ("float32", "bfloat16", "float16", "float64", "int8")
ATTENTIONS = ("fused", "chunks", "loop")

#: ``None`` (the task's own choice), ``"none"``, ``"first"``, token positions counted from 0, or ``"token:TEXT"`` for every token of a text, alone or
#: behind one of these and a comma: ``"first,token:<doc-sep>"``.
GlobalTokens = Union[str, Sequence[int], None]


def plain_number(value: Any) -> Any:
    """numpy's integers, floats and booleans as Python's; anything else as it is."""
    item = getattr(value, "item", None)
    return item() if item is not None and getattr(value, "shape", None) == () else value


def _one_of(name: str, value: object, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise InputError(f"{name}: expected one of {', '.join(allowed)}, given {value!r}")


@dataclass(frozen=True)
class LoadOptions:
    """How to load a model.

    ``device``: ``"cpu"``, ``"cuda"`` or ``"cuda:N"``. ``dtype``: ``"float32"``, ``"bfloat16"``, ``"float16"``, ``"float64"`` or ``"int8"``
    (weights of the layers' products in eight bits; on the CPU); None: as stored. ``attention``: which implementation computes the window attention; all give the same. ``trainable``: copy the weights out of
    the file, for ``Model.gradients``. ``tf32``: whether a GPU may round float32 products to TF32; set when loading,
    for the whole process; None leaves it as it is (off at first).

    >>> import pickle
    >>> options = LoadOptions(dtype="bfloat16")
    >>> options
    LoadOptions(device='cpu', dtype='bfloat16', attention='fused', trainable=False, tf32=None)
    >>> pickle.loads(pickle.dumps(options)) == options
    True
    """

    device: str = "cpu"
    dtype: str | None = None
    attention: str = "fused"
    trainable: bool = False
    tf32: bool | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.device, str):
            raise InputError(f"device: expected cpu, cuda or cuda:N, given {self.device!r}")
        if self.dtype is not None:
            _one_of("dtype", self.dtype, DTYPES)
        _one_of("attention", self.attention, ATTENTIONS)


@dataclass(frozen=True)
class TaskOptions:
    """The options of every task; the methods of the tasks take them as keywords."""

    truncate: bool = False
    global_tokens: GlobalTokens = None
    tokens_per_batch: int = 8192

    def __post_init__(self) -> None:
        chosen = self.global_tokens
        object.__setattr__(self, "tokens_per_batch", plain_number(self.tokens_per_batch))
        if isinstance(chosen, str):
            if "token:" not in chosen:
                _one_of("global_tokens", chosen, ("none", "first"))
        elif chosen is not None:
            object.__setattr__(self, "global_tokens", tuple(int(p) for p in chosen))
        if self.tokens_per_batch < 1:
            raise InputError(f"tokens_per_batch: expected at least 1, given {self.tokens_per_batch}")

    @property
    def global_text(self) -> str | None:
        """The global tokens as the library reads them: ``none``, ``first``, ``0,5,17``; None for the task's own."""
        chosen = self.global_tokens
        if chosen is None or isinstance(chosen, str):
            return chosen
        return ",".join(map(str, chosen)) or "none"


DEFAULT_TASK = TaskOptions()


def task_options(truncate: bool, global_tokens: GlobalTokens, tokens_per_batch: int = DEFAULT_TASK.tokens_per_batch) -> TaskOptions:
    """The options of a call; one object for all that choose nothing."""
    if not truncate and global_tokens is None and tokens_per_batch == DEFAULT_TASK.tokens_per_batch:
        return DEFAULT_TASK
    return TaskOptions(truncate, global_tokens, tokens_per_batch)


@dataclass(frozen=True, eq=False)
class AttentionOptions:
    """The options of the window attention, for every backend and for PyTorch. Shapes: B sequences of T tokens, or S sequences packed into N
    tokens; H heads; G global tokens of a sequence.

    ``window``: keys to the left and to the right, in steps of the dilation; one number for both; right 0 is causal. ``dilation``: one step for
    all heads, or H of them; None: 1. ``global_index``: int64 [B, G] or [S, G]: global positions in each sequence, ascending, padded at the end
    with -1. ``mask``: [B, T] or [N], bool or integer: nonzero is visible; hidden queries give zeros. ``sequence_offsets``: S + 1 ascending
    offsets of packed sequences, from 0 to N; None: the tokens are [B, T]. ``scale``: multiplies the scores; None: 1 / sqrt(D). ``dropout``:
    probability of dropping an attention probability, a function of ``seed`` and the positions alone. ``implementation``: ``"fused"``,
    ``"chunks"`` or ``"loop"``; all give the same.

    Functions take these as keywords, or one object of them as ``options``.

    >>> AttentionOptions(256, dilation=[1, 2])
    AttentionOptions(window=(256, 256), dilation=(1, 2))
    """

    window: int | tuple[int, int]
    _: KW_ONLY
    dilation: int | Sequence[int] | None = None
    global_index: Any = None
    mask: Any = None
    sequence_offsets: Sequence[int] | None = None
    scale: float | None = None
    dropout: float = 0.0
    seed: int = 0
    implementation: str = "fused"

    def __post_init__(self) -> None:
        window, dilation, offsets = self.window, self.dilation, self.sequence_offsets
        try:
            left, right = (window, window) if isinstance(window, int) else map(int, window)
        except (TypeError, ValueError):
            raise InputError(f"window: expected a number or a pair of numbers, given {window!r}") from None
        change = object.__setattr__
        change(self, "window", (left, right))
        if dilation is not None:
            change(self, "dilation", (dilation,) if isinstance(dilation, int) else tuple([int(d) for d in dilation]))
        if offsets is not None:
            change(self, "sequence_offsets", tuple([int(o) for o in offsets]))

    @classmethod
    def chosen(cls, options: AttentionOptions | None, window: Any, keywords: Mapping[str, Any]) -> AttentionOptions:
        """The options of a call that was given an object, a window, or keywords; the keywords win.

        Raises:
            TypeError: There is no such option, or no window.
        """
        if window is not None:
            keywords = {"window": window, **keywords}
        return cls(**keywords) if options is None else replace(options, **keywords)

    def given(self) -> dict[str, Any]:
        """The options that are not their defaults, by name; the window always."""
        values = [(name, default, getattr(self, name)) for name, default in _ATTENTION_DEFAULTS]
        # An array compares element by element, but never is None.
        return {name: value for name, default, value in values if (value is not None if default is None else value != default)}

    def __repr__(self) -> str:
        return f"AttentionOptions({', '.join(f'{name}={value!r}' for name, value in self.given().items())})"


_ATTENTION_DEFAULTS = tuple((f.name, f.default) for f in fields(AttentionOptions))


@dataclass(frozen=True)
class GenerationOptions:
    """How to generate. An option that is None comes from the checkpoint, else it has HF's default (for ``max_tokens`` 256).

    Lengths are in tokens; ``max_tokens`` and ``min_tokens`` count what is generated, the end token included. ``beams=1`` is greedy.
    ``early_stopping``: False (HF's heuristic), True (stop at as many results as beams) or ``"never"``. ``max_length`` and ``min_length`` count
    as HF's do, with the start token, in place of ``max_tokens`` and ``min_tokens``. ``n_best``: results per document. ``rerank``: of all beams the one comes
    first that has the largest log-probability per word plus this times the share of words that the document has; below 0 the search's own best.
    Tokens are given
    by their ids: ``forced_first_token``, ``forced_last_tokens``, ``bad_words`` (sequences), ``suppressed_tokens``,
    ``begin_suppressed_tokens``, ``decoder_prompt``, ``decoder_start_token``, ``end_tokens``. ``stop_string`` ends a text with the token that completes it,
    ``max_time`` after so many seconds. ``config`` takes any other key of HF's ``generation_config.json``: ``{"sequence_bias": [[[5, 7], -2.0]]}``.

    >>> GenerationOptions(beams=4, max_tokens=64)
    GenerationOptions(beams=4, max_tokens=64)
    """

    beams: int | None = None
    max_tokens: int | None = None
    min_tokens: int | None = None
    length_penalty: float | None = None
    early_stopping: bool | str | None = None
    no_repeat_ngram: int | None = None
    repetition_penalty: float | None = None
    sample: bool | None = None
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    seed: int | None = None
    n_best: int | None = None
    rerank: float | None = None
    max_length: int | None = None
    min_length: int | None = None
    forced_first_token: int | None = None
    forced_last_tokens: Sequence[int] | None = None
    bad_words: Sequence[Sequence[int]] | None = None
    suppressed_tokens: Sequence[int] | None = None
    begin_suppressed_tokens: Sequence[int] | None = None
    decoder_prompt: Sequence[int] | None = None
    decoder_start_token: int | None = None
    end_tokens: Sequence[int] | None = None
    encoder_no_repeat_ngram: int | None = None
    encoder_repetition_penalty: float | None = None
    renormalize: bool | None = None
    stop_string: str | None = None
    max_time: float | None = None
    min_p: float | None = None
    typical_p: float | None = None
    epsilon_cutoff: float | None = None
    eta_cutoff: float | None = None
    top_h: float | None = None
    config: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        # numpy's numbers are numbers too.
        for f in fields(self):
            object.__setattr__(self, f.name, plain_number(getattr(self, f.name)))
        if self.early_stopping is not None and not isinstance(self.early_stopping, bool):
            _one_of("early_stopping", self.early_stopping, ("never",))
        if self.seed is not None and not 0 <= self.seed < 2**63:
            raise InputError(f"seed: expected 0 to 2**63 - 1, given {self.seed}")

    def given(self) -> dict[str, Any]:
        """The options that are not None."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}

    def __repr__(self) -> str:
        return f"GenerationOptions({', '.join(f'{name}={value!r}' for name, value in self.given().items())})"
