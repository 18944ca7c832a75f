"""Training and measuring checkpoints, from files to a folder."""
from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, Union

from ._errors import InputError
from ._loaded import default_backend
from ._options import plain_number
from ._results import CoreferencePrediction, HotpotPrediction
from ._watch import ProgressArgument, Watch, watched

if TYPE_CHECKING:
    from ._backend import Backend

__all__ = ["Evaluation", "Trainer", "TrainingEvent", "TrainingOptions", "TrainingResult", "evaluate", "train"]

#: A file, a folder, a pattern such as ``data/*.jsonl``, or several of these.
Data = Union[str, "os.PathLike[str]", Sequence[Union[str, "os.PathLike[str]"]], None]
T = TypeVar("T", bound="Trainer")
#: Tasks whose predictions have a type of their own.
_PREDICTIONS: dict[str, Callable[[dict[str, Any]], Any]] = {"hotpotqa": HotpotPrediction.of, "coref": CoreferencePrediction.of}


@dataclass(frozen=True)
class TrainingOptions:
    """The settings of a training, under the names of ``longformer train`` (``--learning-rate`` is ``learning_rate``); None: the default there.

    ``longformer train TASK --help`` and docs/training.md say what each does. ``column`` names columns that are called otherwise:
    ``{"text": "review"}``. ``labels``: the labels in the order of their numbers. ``schedule`` of ``char-lm`` is a file, or a dict of what such a file
    holds. A task refuses the settings of another.

    >>> TrainingOptions(learning_rate=1e-4, schedule="cosine", epochs=2)
    TrainingOptions(learning_rate=0.0001, schedule='cosine', epochs=2)
    """

    # How the parameters change.
    learning_rate: float | None = None
    head_learning_rate: float | None = None
    layer_decay: float | None = None
    schedule: str | os.PathLike[str] | Mapping[str, Any] | None = None
    power: float | None = None
    warmup_steps: int | None = None
    warmup_ratio: float | None = None
    optimizer: str | None = None
    beta1: float | None = None
    beta2: float | None = None
    epsilon: float | None = None
    weight_decay: float | None = None
    max_grad_norm: float | None = None
    label_smoothing: float | None = None
    freeze: str | None = None
    first_added_position: int | None = None
    preset: str | None = None
    # How long, and in which steps.
    epochs: float | None = None
    steps: int | None = None
    batch_size: int | None = None
    tokens_per_step: int | None = None
    tokens_per_batch: int | None = None
    accumulate: int | None = None
    no_shuffle: bool | None = None
    seed: int | None = None
    no_dropout: bool | None = None
    eval_every: int | None = None
    save_every: int | None = None
    keep: int | None = None
    patience: int | None = None
    resume: bool | None = None
    # Data.
    column: Mapping[str, str] | None = None
    cache: str | os.PathLike[str] | None = None
    max_tokens: int | None = None
    # Of single tasks.
    labels: Sequence[str] | None = None
    problem: str | None = None
    stride: int | None = None
    ignore_windows_without_answer: bool | None = None
    max_answer_tokens: int | None = None
    max_target_tokens: int | None = None
    loss_only: bool | None = None
    mask_probability: float | None = None
    join_texts: bool | None = None
    # Of pairs.
    poolings: Sequence[str] | None = None
    dimension: int | None = None
    scale: float | None = None
    dropout: float | None = None
    # Of the paper's tasks.
    seeds: Sequence[int] | None = None
    no_global_attention: bool | None = None
    first_chunk_only: bool | None = None
    evidence: str | os.PathLike[str] | None = None
    max_document_tokens: int | None = None
    first_window_only: bool | None = None
    max_training_segments: int | None = None
    keep_gold_paragraphs: bool | None = None
    held_out: int | None = None
    splits: str | os.PathLike[str] | None = None
    part: str | None = None
    beams: int | None = None
    length_penalty: float | None = None
    journal: str | os.PathLike[str] | None = None
    shortened: str | os.PathLike[str] | None = None
    # Of char-lm.
    characters: bool | None = None
    split: Sequence[int] | None = None
    sequences_per_pass: int | None = None
    eval_characters: int | None = None
    length: int | None = None
    step: int | None = None
    one_pass: bool | None = None
    every_character: bool | None = None
    # Where and how.
    device: str | None = None
    dtype: str | None = None
    attention: str | None = None
    tf32: bool | None = None
    recompute: bool | None = None
    recompute_layers: int | None = None

    def __post_init__(self) -> None:
        for f in fields(self):
            object.__setattr__(self, f.name, plain_number(getattr(self, f.name)))
        for name in ("labels", "poolings"):
            if isinstance(getattr(self, name), str):
                raise InputError(f"{name}: expected several, as [\"a\", \"b\"], given {getattr(self, name)!r}")
        if self.column is not None and not isinstance(self.column, Mapping):
            raise InputError(f"column: expected a dict such as {{'text': 'review'}}, given {self.column!r}")

    def given(self) -> dict[str, Any]:
        """The settings that are not None."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}

    def settings(self) -> dict[str, Any]:
        """The settings that are not None, as a backend takes them: plain numbers, texts and lists of texts."""
        values = self.given()
        if "column" in values:
            values["column"] = [f"{purpose}={name}" for purpose, name in values["column"].items()]
        for name in ("labels", "poolings"):
            if name in values:
                values[name] = [str(label) for label in values[name]]
        for name in ("cache", "evidence", "splits", "journal", "shortened"):
            if name in values:
                values[name] = os.fspath(values[name])
        for name in ("split", "seeds"):
            if name in values:
                values[name] = ",".join(str(int(n)) for n in values[name])
        if "schedule" in values:
            schedule = values["schedule"]
            values["schedule"] = json.dumps(schedule) if isinstance(schedule, Mapping) else os.fspath(schedule)
        return values

    @classmethod
    def chosen(cls, options: TrainingOptions | None, keywords: Mapping[str, Any]) -> TrainingOptions:
        """The options of a call that was given an object, keywords, or both; the keywords win."""
        try:
            return replace(options or cls(), **keywords)
        except TypeError as e:
            raise InputError(f"options: {e}") from None

    def __repr__(self) -> str:
        return f"TrainingOptions({', '.join(f'{name}={value!r}' for name, value in self.given().items())})"


@dataclass(frozen=True)
class TrainingEvent:
    """An event of a training. ``kind``: ``"preparing"`` (data is tokenized: ``examples`` so far), ``"note"`` (``message``), ``"step"``,
    ``"evaluating"`` (``examples`` so far), ``"evaluated"`` (``metrics``), ``"saved"`` (``message`` is the folder of the checkpoint).

    ``step`` of ``total_steps`` are done. Of a step: ``loss`` (before it), ``learning_rate``, ``grad_norm`` (before clipping), ``tokens`` and
    ``tokens_per_second`` since the beginning, ``remaining_seconds``.
    """

    kind: str
    step: int
    total_steps: int
    epoch: float = 0.0
    loss: float = float("nan")
    learning_rate: float = float("nan")
    grad_norm: float = float("nan")
    tokens: int = 0
    tokens_per_second: float = 0.0
    remaining_seconds: float = 0.0
    examples: int = 0
    message: str = ""
    metrics: Mapping[str, float] | None = None

    @classmethod
    def parse(cls, text: str) -> TrainingEvent:
        """The event of the library's JSON object."""
        given = json.loads(text)
        if "eval" in given:
            given["metrics"] = _numbers(given.pop("eval"))
        return cls(**{name: value for name, value in given.items() if value is not None})


@dataclass(frozen=True)
class TrainingResult:
    """How a training ended. ``folder``: the output folder, a checkpoint once the run has ended. ``stopped``: ``Trainer.stop`` ended it; its steps are
    saved, and ``resume=True`` continues. ``best_step``: the step whose weights are in the folder (None: the last), ``metrics`` what it reached on
    the held-out data. With several ``seeds``: steps of all, the mean of the metrics, and their standard ``deviation``."""

    folder: str
    steps: int
    stopped: bool
    best_step: int | None
    metrics: Mapping[str, float]
    deviation: Mapping[str, float] = field(default_factory=dict)

    @property
    def history(self) -> list[dict[str, Any]]:
        """The lines of ``log.jsonl``: a dict for every step (``step``, ``epoch``, ``loss``, ``learning_rate``, ``grad_norm``, ``tokens``,
        ``seconds``) and every evaluation (``step``, ``epoch``, ``eval``)."""
        with open(Path(self.folder) / "log.jsonl", encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    @property
    def curves(self) -> Path:
        """The picture of the run, an SVG file."""
        return Path(self.folder) / "curves.svg"


@dataclass(frozen=True)
class Evaluation:
    """``metrics`` by name, and ``predictions`` in the order of the data: a dict for each example; of ``"hotpotqa"`` a ``HotpotPrediction`` for each
    question, of ``"coref"`` a ``CoreferencePrediction`` for each document."""

    metrics: Mapping[str, float]
    predictions: Sequence[Any]


class Trainer:
    """A training that can be stopped and resumed.

    Args:
        task: ``"masked-lm"``, ``"classify"``, ``"tag"``, ``"answer"``, ``"choose"``, ``"summarize"`` or ``"char-lm"``; of the paper, from its
            official files, ``"wikihop"``, ``"triviaqa"``, ``"hotpotqa"``, ``"coref"``, ``"imdb"``, ``"hyperpartisan"`` or ``"arxiv"``.
        checkpoint: Where to begin: a Longformer or LED, with the head or without; a RoBERTa, BERT or BART, which is made long on the way; or a
            folder with a configuration, a tokenizer and no weights. For ``char-lm`` a character model, or None for a new one.
        data: What to learn from: files (JSON lines, JSON, CSV, TSV, Parquet, text), folders, patterns. For ``char-lm`` one text file.
        eval: What to measure on; None: nothing is measured (``char-lm`` measures a part of its text).
        output: The output folder. It must be empty or absent, unless the run is resumed.
        options: Settings in one object; keywords (those of ``TrainingOptions``) win.

    >>> import tempfile, pathlib
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (folder / "reviews.csv").write_text("text,label\\nlovely,good\\nawful,bad\\n")
    >>> trainer = lf.Trainer("classify", models / "filler", data=folder / "reviews.csv", output=folder / "classifier", steps=3, max_tokens=64)
    >>> trainer.run().steps
    3
    """

    def __init__(
        self, task: str, checkpoint: str | os.PathLike[str] | None = None, *, data: Data, output: str | os.PathLike[str],
        eval: Data = None,  # noqa: A002 - as the command line
        options: TrainingOptions | None = None, **keywords: Any,
    ) -> None:  # fmt: skip
        self.task, self.checkpoint, self.output = task, None if checkpoint is None else os.fspath(checkpoint), os.fspath(output)
        self.data, self.eval = _paths(data, "data"), _paths(eval, "eval")
        self.options = TrainingOptions.chosen(options, keywords)
        self._watch: Watch | None = None

    @classmethod
    def _get_backend(cls) -> Backend:
        return default_backend()

    def run(
        self, *, resume: bool | None = None, progress: ProgressArgument = None, on_event: Callable[[TrainingEvent], Any] | None = None
    ) -> TrainingResult:
        """Trains to the end, or until ``stop``.

        Ctrl-C saves the steps that are done, then raises KeyboardInterrupt; ``run(resume=True)`` continues, to the same numbers as a run that was not
        interrupted. So does an exception of ``progress`` or ``on_event``.

        Args:
            resume: Go on from the last checkpoint of the output folder; None: as the options say.
            progress: True for a tqdm bar with the loss and the last metrics, or a function that gets a ``Progress`` after every step.
            on_event: Called with every ``TrainingEvent``, on the thread that works.

        Raises:
            InputError: A setting, a file or a record is wrong (the message has file and line), or the loss is no number any more (it has the step and
                the documents).
            CheckpointError: The checkpoint does not fit the task.
        """
        options = self.options if resume is None else replace(self.options, resume=resume)
        bar = _Bar() if progress is True and _has_tqdm() else None
        watch, _ = watched(None if progress is True else progress, "step")
        if bar is not None or on_event is not None:

            def report(text: str) -> None:
                event = TrainingEvent.parse(text)
                if bar is not None:
                    bar(event)
                if on_event is not None:
                    on_event(event)

            watch = Watch.reporting(watch.progress, report)
        backend = self._get_backend()
        arguments = self.task, self.checkpoint, self.data, self.eval, self.output, options.settings()
        self._watch = watch
        try:
            found = watch.run(lambda native: native.train(*arguments, watch), backend, backend.polls)
        finally:
            self._watch = None
            if bar is not None:
                bar.close()
        best = found.get("best_step")
        return TrainingResult(
            os.path.abspath(self.output), int(found["steps"]), bool(found["stopped"]), None if best is None else int(best), found["metrics"], found["deviation"]
        )

    def stop(self) -> None:
        """Ends a run under way between two layers of the model: ``run`` saves, and returns a result that is ``stopped``. Any thread, and
        ``on_event``, may call this. A run that has not begun its first step ends with a LongformerError."""
        if (watch := self._watch) is not None:
            watch.stop()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} to {self.task} from {self.checkpoint!r} into {self.output!r}, {self.options!r}>"


def train(
    task: str, checkpoint: str | os.PathLike[str] | None = None, *, data: Data, output: str | os.PathLike[str],
    eval: Data = None,  # noqa: A002 - as the command line
    progress: ProgressArgument = None, on_event: Callable[[TrainingEvent], Any] | None = None, options: TrainingOptions | None = None,
    **keywords: Any,
) -> TrainingResult:  # fmt: skip
    """Trains a model from files to a folder. Arguments as ``Trainer`` and ``Trainer.run`` have them.

    >>> import tempfile, pathlib
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (folder / "reviews.csv").write_text("text,label\\n" + "lovely fine,good\\nawful,bad\\n" * 8)
    >>> result = lf.train("classify", models / "filler", data=folder / "reviews.csv", eval=folder / "reviews.csv",
    ...                   output=folder / "classifier", epochs=8, batch_size=4, learning_rate=2e-3, max_tokens=64)
    >>> result.metrics["accuracy"]
    1.0
    >>> with lf.TextClassifier.load(result.folder) as classifier:
    ...     classifier.classify("lovely fine")[0].label
    'good'
    """
    return Trainer(task, checkpoint, data=data, output=output, eval=eval, options=options, **keywords).run(progress=progress, on_event=on_event)


def evaluate(
    task: str, checkpoint: str | os.PathLike[str], *, data: Data, output: str | os.PathLike[str] | None = None, progress: ProgressArgument = None,
    options: TrainingOptions | None = None, **keywords: Any,
) -> Evaluation:  # fmt: skip
    """Measures a checkpoint on data by the metric of its task.

    Args:
        task: As for ``train``.
        checkpoint: A folder with the task's head.
        data: Files, folders, patterns.
        output: A file for the predictions, as the official scorer of the task reads them, else a JSON object a line.
        progress: True for a tqdm bar, or a function that gets a ``Progress`` after every batch.
        options: Settings in one object; keywords win. Those that only a training has are refused.
    """
    return evaluate_by(default_backend(), task, checkpoint, data, output, progress, options, keywords)


def evaluate_by(
    backend: Backend, task: str, checkpoint: str | os.PathLike[str], data: Data, output: str | os.PathLike[str] | None, progress: ProgressArgument,
    options: TrainingOptions | None, keywords: Mapping[str, Any],
) -> Evaluation:  # fmt: skip
    settings = TrainingOptions.chosen(options, keywords).settings()
    if output is not None:
        settings["output"] = os.fspath(output)
    arguments = task, os.fspath(checkpoint), _paths(data, "data"), settings
    watch, after = watched(progress, "example")
    try:
        metrics, predictions = watch.run(lambda native: native.evaluate(*arguments, watch), backend, backend.polls)
    finally:
        if after is not None:
            after()
    typed = _PREDICTIONS.get(task, dict)
    return Evaluation(metrics, [typed(json.loads(text)) for text in predictions])


def _paths(given: Data, name: str) -> list[str]:
    if given is None:
        return []
    several = [given] if isinstance(given, (str, os.PathLike)) else given
    try:
        return [os.fspath(path) for path in several]
    except TypeError:
        raise InputError(f"{name}: expected paths of files or folders, given {given!r}") from None


def _numbers(metrics: Mapping[str, float | None]) -> dict[str, float]:
    """JSON has no word for what is no number."""
    return {name: float("nan") if value is None else float(value) for name, value in metrics.items()}


def _has_tqdm() -> bool:
    try:
        import tqdm.auto  # noqa: F401
    except ImportError:
        return False
    return True


class _Bar:
    """A tqdm bar with the loss, the rate and the last metrics; notes go above it."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._shown: dict[str, str] = {}

    def __call__(self, event: TrainingEvent) -> None:
        if event.kind == "step":
            if self._bar is None:
                import sys

                from tqdm.auto import tqdm

                self._bar = tqdm(total=event.total_steps, initial=event.step - 1, unit="step", file=sys.stderr)
            self._shown.update(loss=f"{event.loss:.4f}", rate=f"{event.learning_rate:.1e}", tokens_s=f"{event.tokens_per_second:,.0f}")
            self._bar.set_postfix(self._shown, refresh=False)
            self._bar.update(event.step - self._bar.n)
        elif event.kind == "evaluated" and self._bar is not None:
            self._shown.update({f"eval_{name}": f"{value:.4g}" for name, value in (event.metrics or {}).items()})
            self._bar.set_postfix(self._shown)
        elif event.kind == "note":
            import sys

            from tqdm.auto import tqdm

            tqdm.write(event.message, file=sys.stderr)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
