"""Indexes of corpora over pythonnet."""
from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from .._watch import Watch

__all__ = ["NetSearch"]


class NetSearch:
    """The part of the backend that makes and searches indexes."""

    def index(
        self, path: str, encoder: Any, sources: Sequence[str], documents: Sequence[str], settings: Mapping[str, Any], watch: Watch
    ) -> dict[str, int]:
        from ._backend import _watching
        from ._runtime import start

        net = start()
        with _watching(net, watch) as call:
            made = net.bridge.SearchBridge.Build(path, _task(encoder), list(sources), list(documents), json.dumps(dict(settings)), call)
            return dict(zip(("documents", "passages", "reused"), (int(n) for n in made)))

    def search(self, path: str, encoder: Any, question: str, settings: Mapping[str, Any], watch: Watch) -> list[tuple[Any, ...]]:
        from ._backend import _watching
        from ._runtime import start

        net = start()
        with _watching(net, watch) as call:
            found = json.loads(str(net.bridge.SearchBridge.Search(path, _task(encoder), question, json.dumps(dict(settings)), call)))
        return [tuple(row) for row in found]


def _task(encoder: Any) -> Any:
    return None if encoder is None else encoder._task
