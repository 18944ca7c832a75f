"""A plugin of pytest for check-hf-tests.sh: HF's own tests, of models that are accelerated as soon as they are made.

    LONGFORMER_ACCELERATE=1 LONGFORMER_OUTCOMES=<file> python3 -m pytest -p hf_accelerated <HF's test files>

Writes a line for every test and subtest with its outcome, so that two runs can be compared."""
from __future__ import annotations

import importlib.util
import os
import sys
import types

OUTCOMES: list[str] = []


def pytest_configure() -> None:
    if importlib.util.find_spec("datasets") is None:
        # HF's shared test helpers import it; the tests that load a data set are skipped here, there being no network.
        stand_in = types.ModuleType("datasets")
        stand_in.Audio = stand_in.Dataset = object  # type: ignore[attr-defined]
        stand_in.load_dataset = _no_data_set  # type: ignore[attr-defined]
        stand_in.__spec__ = importlib.util.spec_from_loader("datasets", loader=None)
        sys.modules["datasets"] = stand_in
    if os.environ.get("LONGFORMER_ACCELERATE") == "1":
        _accelerate_every_model()


def _no_data_set(*_: object, **__: object) -> None:
    raise RuntimeError("this check downloads nothing")


def _accelerate_every_model() -> None:
    import longformer_interop.torch as lt
    from transformers import PreTrainedModel

    before = PreTrainedModel.post_init

    def post_init(self: PreTrainedModel) -> None:
        before(self)
        try:
            lt.accelerate(self)
        except ValueError:
            return  # no Longformer and no LED
        ACCELERATED.add(type(self).__name__)

    PreTrainedModel.post_init = post_init


ACCELERATED: set[str] = set()


def pytest_runtest_logreport(report: object) -> None:
    when, outcome = report.when, report.outcome  # type: ignore[attr-defined]
    if when != "call" and outcome == "passed":
        return
    context = getattr(report, "context", None)
    sub = "" if context is None else f" {context.msg or ''} {sorted(context.kwargs.items())}"
    OUTCOMES.append(f"{report.nodeid}{sub}: {outcome}")  # type: ignore[attr-defined]


def pytest_sessionfinish() -> None:
    with open(os.environ["LONGFORMER_OUTCOMES"], "w") as file:
        file.writelines(sorted(line.replace("\n", " ") + "\n" for line in OUTCOMES))


def pytest_terminal_summary(terminalreporter: object) -> None:
    if ACCELERATED:
        terminalreporter.write_line(f"accelerated: {', '.join(sorted(ACCELERATED))}")  # type: ignore[attr-defined]
