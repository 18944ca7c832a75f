"""Makes two methods from the plan of a call: one that blocks, and one for an event loop. Both take the plan's arguments."""
from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from ._watch import Watch

__all__ = ["Plan", "awaitable", "blocking"]

P = ParamSpec("P")
T = TypeVar("T")


#: The watch of a call, a function that calls the native object, and a function to run afterwards. A tuple, since every call makes one.
Plan = tuple[Watch, Callable[[Any], T], Callable[[], None] | None]


def blocking(plan: Callable[Concatenate[Any, P], Plan[T]]) -> Callable[Concatenate[Any, P], T]:
    """The method ``answer`` of a plan ``_answer``."""

    def run(self: Any, *arguments: P.args, **keywords: P.kwargs) -> T:
        watch, call, after = plan(self, *arguments, **keywords)
        native = self._enter()
        try:
            return watch.run(call, native, native.polls)
        finally:
            self._leave()
            if after is not None:
                after()

    return cast("Callable[Concatenate[Any, P], T]", _dressed(run, plan, "", plan.__doc__))


def awaitable(plan: Callable[Concatenate[Any, P], Plan[T]]) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]:
    """The method ``aanswer`` of a plan ``_answer``."""

    async def run(self: Any, *arguments: P.args, **keywords: P.kwargs) -> T:
        watch, call, after = plan(self, *arguments, **keywords)
        native = self._enter()
        try:
            return await watch.run_async(call, native)
        finally:
            self._leave()
            if after is not None:
                after()

    name = plan.__name__.lstrip("_")
    summary = f"``{name}`` without blocking the event loop; cancelling the task stops the work."
    return cast("Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]", _dressed(run, plan, "a", summary))


def _dressed(run: Any, plan: Callable[..., Any], prefix: str, documentation: str | None) -> Any:
    """Sets the name, the signature and the documentation that a user sees."""
    run.__name__ = prefix + plan.__name__.lstrip("_")
    run.__qualname__ = plan.__qualname__.replace(plan.__name__, run.__name__)
    run.__module__, run.__doc__ = plan.__module__, documentation
    signature = inspect.signature(plan)
    given = str(signature.return_annotation).removeprefix("Plan[").removesuffix("]")
    run.__signature__ = signature.replace(return_annotation=given)
    return run
