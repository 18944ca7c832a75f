"""Gradients of the operators: the kernels that PyTorch's dispatcher calls where it records.

There are three kinds of operators. *Differentiable* ones have a backward operator, which the formulas below call. *Looking* ones return
results without a gradient. *Writing* ones refuse to be recorded. Tangents (forward mode) and second derivatives go through the composition
of PyTorch's operators where there is one, and are refused by name elsewhere.

``torch.library.register_autograd`` does nearly this, but takes no tensors as keywords (``linear`` has two), leaves out tangents without a
word, and refuses ``torch.func``."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Optional

import torch
from torch import Tensor
from torch.autograd import forward_ad

from .._fork import STATE, refuse_in_child
from ._composed import COMPOSED

__all__ = ["install"]

Gradients = dict[str, Optional[Tensor]]


class Recorded:
    """The arguments and results of a recorded call, for its formula."""

    def __init__(self, arguments: dict[str, Any], results: Sequence[Tensor], needed: dict[str, bool]) -> None:
        self.arguments, self.results, self.needed = arguments, results, needed

    def __getitem__(self, name: str) -> Any:
        return self.arguments[name]

    def all(self, *names: str) -> list[Any]:
        return [self.arguments[name] for name in names]

    def rest(self, first: str) -> list[Any]:
        """Returns the arguments from `first` on, in the schema's order."""
        names = list(self.arguments)
        return [self.arguments[name] for name in names[names.index(first) :]]


Formula = Callable[..., Gradients]


def _ops() -> Any:
    return torch.ops.longformer


def _banded_attention(c: Recorded, grad: Tensor, _: Any) -> Gradients:
    grads = _ops().banded_attention_backward(grad, *c.all("query", "key", "value"), *c.results, *c.rest("window_left"))
    return dict(zip(("query", "key", "value"), grads))


def _relative_banded_attention(c: Recorded, grad: Tensor, _: Any) -> Gradients:
    names = ("query", "key", "value", "relative", "content_bias", "position_bias")
    grads = _ops().relative_banded_attention_backward(grad, *c.all(*names), *c.results, *c.rest("relative_zero"))
    return dict(zip(names, grads))


def _global_attention(c: Recorded, grad: Tensor) -> Gradients:
    return dict(zip(("query", "key", "value"), _ops()._global_attention_backward(grad, *c.rest("query"))))


def _folded_global_attention(c: Recorded, grad: Tensor) -> Gradients:
    names = ("query", "hidden", "key_weight", "key_bias", "value_weight", "value_bias")
    return dict(zip(names, _ops()._folded_global_attention_backward(grad, *c.rest("query"))))


def _linear(c: Recorded, grad: Tensor) -> Gradients:
    ahead = grad
    if c["activation"] != "none":
        # The forward pass leaves only the activation's result, which not every activation can be undone from.
        ahead = _ops()._activation_backward(grad, _ops().linear(*c.all("input", "weight", "bias")), c["activation"])
    names = ("input", "weight", "bias")
    grads: Gradients = dict(zip(names, _ops()._linear_backward(ahead, *c.all("input", "weight"), *map(c.needed.__getitem__, names))))
    return grads | {"residual": grad}


def _activation(c: Recorded, grad: Tensor) -> Gradients:
    return {"input": _ops()._activation_backward(grad, c["input"], c["activation"])}


def _hidden_dropout(c: Recorded, grad: Tensor) -> Gradients:
    return {"input": _ops().hidden_dropout(grad, c["probability"], c["seed"])}


def _add_layer_norm(c: Recorded, grad: Tensor) -> Gradients:
    both, weight, bias = _ops()._add_layer_norm_backward(grad, *c.all("input", "residual", "weight", "eps"))
    return {"input": both, "residual": both, "weight": weight, "bias": bias}


def _embed(c: Recorded, grad: Tensor) -> Gradients:
    return dict(zip(("words", "positions", "types", "weight", "bias"), _ops()._embed_backward(grad, *c.rest("words"))))


def _layer_attention(c: Recorded, grad: Tensor, _: Any) -> Gradients:
    names = list(c.arguments)[:10]
    return dict(zip(names, _ops()._layer_attention_backward(grad, *c.results, *c.rest("query"))))


def _once(op: str) -> Formula:
    def refuse(c: Recorded, *_: Any) -> Gradients:
        raise NotImplementedError(f"longformer::{op} can be differentiated once, not twice")

    return refuse


def _twice(op: str, *wanted: str, bias: bool = False) -> Formula:
    """The second derivative of an operator, by its composition: the gradients of its backward operator.

    Args:
        op: The operator.
        wanted: The arguments whose gradients the backward operator gives, in the order of its results.
        bias: The operator has a bias that its backward operator is not given, since it does not depend on it.
    """

    def formula(c: Recorded, *seconds: Tensor | None) -> Gradients:
        arguments = {name: v for name, v in c.arguments.items() if name != "grad_output" and not name.startswith("need_")}
        if bias:
            arguments["bias"] = arguments["weight"].new_zeros(arguments["weight"].shape[:1])
        asked = [name for name, second in zip(wanted, seconds) if arguments[name] is not None and second is not None]
        through = [name for name, v in arguments.items() if isinstance(v, Tensor) and v.is_floating_point() and name in c.needed]

        def first(grad: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
            given = arguments | dict(zip(through, tensors))
            _, pull = torch.func.vjp(lambda *inputs: COMPOSED[op](**(given | dict(zip(asked, inputs)))), *[given[name] for name in asked])
            return pull(grad)  # type: ignore[no-any-return]

        _, pull = torch.func.vjp(first, c["grad_output"], *[arguments[name] for name in through])
        grads = pull(tuple(second for name, second in zip(wanted, seconds) if name in asked))
        return dict(zip(("grad_output", *through), grads))

    return formula


class Rule(NamedTuple):
    formula: Formula
    #: The arguments that the formula reads, of those that are tensors; None: all.
    reads: Sequence[str] | None = None
    reads_results: bool = False
    #: The results that have no gradient.
    fixed: Sequence[int] = ()


_RULES = {
    "banded_attention": Rule(_banded_attention, reads_results=True, fixed=(1,)),
    "banded_attention_backward": Rule(_once("banded_attention"), ()),
    "relative_banded_attention": Rule(_relative_banded_attention, reads_results=True, fixed=(1,)),
    "relative_banded_attention_backward": Rule(_once("relative_banded_attention"), ()),
    "global_attention": Rule(_global_attention),
    "_global_attention_backward": Rule(_twice("global_attention", "query", "key", "value")),
    "folded_global_attention": Rule(_folded_global_attention),
    "_folded_global_attention_backward": Rule(
        _twice("folded_global_attention", "query", "hidden", "key_weight", "key_bias", "value_weight", "value_bias")
    ),
    "_layer_attention": Rule(_layer_attention, reads_results=True, fixed=(1,)),
    "_layer_attention_backward": Rule(_once("_layer_attention"), ()),
    "linear": Rule(_linear, ("input", "weight", "bias")),
    "_linear_backward": Rule(_twice("linear", "input", "weight", "bias", bias=True)),
    "activation": Rule(_activation, ("input",)),
    "_activation_backward": Rule(_twice("activation", "input")),
    "hidden_dropout": Rule(_hidden_dropout, ()),
    "add_layer_norm": Rule(_add_layer_norm, ("input", "residual", "weight")),
    "_add_layer_norm_backward": Rule(_twice("add_layer_norm", "input", "weight", "bias", bias=True)),
    "embed": Rule(_embed),
    "_embed_backward": Rule(_twice("embed", "words", "positions", "types", "weight", "bias")),
}

#: Recorded as the composition of PyTorch's operators: they are short, or only looked at.
_BY_COMPOSITION = ("decode_attention", "global_attention_probabilities")


def install(library: torch.library.Library) -> None:
    """Gives every operator of the namespace its kernel for recording."""
    for qualified in torch._C._dispatch_get_all_op_names():
        if not qualified.startswith("longformer::"):
            continue
        name = qualified.removeprefix("longformer::")
        base, _, overload = name.partition(".")
        operator = _Operator(name, getattr(getattr(torch.ops.longformer, base), overload or "default"))
        if operator.takes_tensors:
            library.impl(qualified, operator.record, "Autograd", with_keyset=True)


class _Operator:
    """One operator, and the work where it is recorded."""

    def __init__(self, name: str, overload: Any) -> None:
        schema = overload._schema
        self.name, self._overload, self._rule = name, overload, _RULES.get(name)
        self.names = [a.name for a in schema.arguments]
        self._defaults = [a.default_value if a.has_default_value() else None for a in schema.arguments]
        self._positional = sum(not a.kwarg_only for a in schema.arguments)
        self._writes = schema.is_mutable
        self.takes_tensors = any("Tensor" in str(a.type) for a in schema.arguments)
        self._node = None if self._rule is None else _Node(self, self._rule)

    def record(self, keyset: Any, *given: Any, **keywords: Any) -> Any:
        """Called by the dispatcher in the operator's place; the last arguments may be missing where they are the defaults."""
        if STATE.forked:
            refuse_in_child()
        values = list(given)
        for i in range(len(given), len(self.names)):
            values.append(keywords.get(self.names[i], self._defaults[i]))
        if getattr(forward_ad, "_current_level", 0) >= 0 and any(_has_tangent(t) for t in _tensors(values)):
            return self._compose("forward-mode derivative", values)
        if torch.is_grad_enabled() and any(t.requires_grad for t in _tensors(values)):
            if self._writes:
                raise RuntimeError(f"longformer::{self.name} writes into memory that it is given, which cannot be recorded for a gradient")
            if self.name in _BY_COMPOSITION:
                return self._compose("gradient", values)
            if self._node is not None:
                return self._node.apply(keyset, *values)
        return self.below(keyset, values)

    def below(self, keyset: Any, values: Sequence[Any]) -> Any:
        """Calls the operator itself on the tensors' device, or the next level below."""
        n = self._positional
        with torch._C._AutoDispatchBelowAutograd():
            return self._overload.redispatch(keyset & torch._C._after_autograd_keyset, *values[:n], **dict(zip(self.names[n:], values[n:])))

    def _compose(self, what: str, values: Sequence[Any]) -> Any:
        if self.name not in COMPOSED:
            raise NotImplementedError(f"longformer::{self.name} has no {what}")
        return COMPOSED[self.name](**dict(zip(self.names, values)))


def _tensors(values: Sequence[Any]) -> Iterator[Tensor]:
    for v in values:
        if isinstance(v, Tensor):
            yield v
        elif isinstance(v, (list, tuple)):
            yield from _tensors(v)


def _has_tangent(t: Tensor) -> bool:
    return torch._C._is_fwd_grad_enabled() and forward_ad.unpack_dual(t).tangent is not None


class _Node:
    """The node of PyTorch's graph that a recorded call leaves."""

    def __init__(self, operator: _Operator, rule: Rule) -> None:
        names = operator.names

        def forward(ctx: Any, keyset: Any, *values: Any) -> Any:
            results = operator.below(keyset, values)
            outputs = results if isinstance(results, tuple) else (results,)
            ctx.set_materialize_grads(False)
            if rule.fixed:
                ctx.mark_non_differentiable(*[outputs[i] for i in rule.fixed])
            ctx.places = [i for i, v in enumerate(values) if isinstance(v, Tensor) and (rule.reads is None or names[i] in rule.reads)]
            ctx.save_for_backward(*[values[i] for i in ctx.places], *(outputs if rule.reads_results else ()))
            ctx.plain = [None if isinstance(v, Tensor) else v for v in values]
            return results

        def backward(ctx: Any, *grads: Tensor | None) -> Any:
            if all(g is None for g in grads):
                return (None,) * (1 + len(names))
            values, tensors = list(ctx.plain), ctx.saved_tensors
            for place, t in zip(ctx.places, tensors):
                values[place] = t
            needed = dict(zip(names, ctx.needs_input_grad[1:]))
            found = rule.formula(Recorded(dict(zip(names, values)), tensors[len(ctx.places) :], needed), *grads)
            return (None, *[found.get(name) if needed[name] else None for name in names])

        self._operator = operator
        self._name = "Longformer" + "".join(part.capitalize() for part in operator.name.split("_"))
        def forward_of_one_level(*arguments: Any) -> Any:
            # A node's forward pass records nothing, and the transforms further out, whose turn comes below, would record nothing either.
            with torch.enable_grad(), forward_ad._set_fwd_grad_enabled(True):
                return forward(*arguments)

        self._function = type(self._name, (torch.autograd.Function,), {"forward": staticmethod(forward), "backward": staticmethod(backward)})
        self._of_one_level = {"forward": staticmethod(forward_of_one_level), "backward": staticmethod(backward)}

    def apply(self, *arguments: Any) -> Any:
        if not torch._C._are_functorch_transforms_active():
            return self._function.apply(*arguments)  # type: ignore[attr-defined]
        # Inside torch.func the dispatcher calls one transform after the other, and this is the turn of one that records, and of it alone.
        try:
            from torch._functorch.utils import enable_single_level_autograd_function
            from torch.autograd.function import _SingleLevelFunction
        except ImportError:
            message = f"longformer::{self._operator.name}: torch.func of PyTorch {torch.__version__} is not known here; torch.autograd works"
            raise NotImplementedError(message) from None
        with enable_single_level_autograd_function():
            return type(self._name, (_SingleLevelFunction,), self._of_one_level).apply(*arguments)  # type: ignore[attr-defined]
