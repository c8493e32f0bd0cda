"""What champion and challenger give for the rows that judged them: metrics, gains with intervals, slices."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from unbroken.charts.rows import HeldOutRows, chosen_parts, chosen_rows
from unbroken.charts.scoring import SMALLEST, Scores
from unbroken.charts.slices import Slice, slices_of
from unbroken.config import GateConfig, RetrainConfig, TaskName
from unbroken.config.metrics import METRICS, gate_metrics_of
from unbroken.data.parquet import read_slices
from unbroken.data.permutation import Index
from unbroken.errors import DataError
from unbroken.evaluation.scores import Predicted
from unbroken.retraining import gate
from unbroken.retraining.comparison import BothPredicted, as_learnt, predict_both
from unbroken.retraining.datasets import CycleDatasets
from unbroken.retraining.gate import Verdict
from unbroken.retraining.new_data import Cycle
from unbroken.storage.artifact import Artifact

MOST_RESAMPLED = 100_000
"""Of more rows, the interval of what did not judge is left out: it takes a second for each 10,000 of them."""


@dataclass(frozen=True, kw_only=True)
class Gain:
    """A metric of both models on all rows that judged; positive is better for the challenger; None where no interval is known."""

    metric: str
    champion: float
    challenger: float
    gain: float
    interval: tuple[float, float] | None


@dataclass(frozen=True, kw_only=True)
class ChangedSlice:
    """The mean losses of both models on the rows of a slice.

    Attributes:
        column: The column of the source that it is cut by.
        name: Which values it holds.
        rows: How many rows.
        champion: The mean loss of the champion.
        challenger: That of the challenger.
        rise: By how much the loss of the challenger is larger.
        margin: By which the rise of rows like these may differ by chance, in 95 of 100 cases.
    """

    column: str
    name: str
    rows: int
    champion: float
    challenger: float
    rise: float
    margin: float

    @property
    def worse(self) -> bool:
        """Whether the loss rose by more than chance."""
        return self.rise > self.margin


@dataclass(frozen=True, kw_only=True)
class Both:
    """Both models on the rows that judged.

    Attributes:
        task: What is predicted.
        names: The classes, in the order of their codes.
        gains: Each metric that could judge, the one that did first.
        rows: Some of the rows, as the challenger sees them.
        champion: What the champion gives for those, or a constant guess.
        challenger: What the challenger gives.
    """

    task: TaskName
    names: tuple[str, ...]
    gains: tuple[Gain, ...]
    rows: HeldOutRows
    champion: Scores
    challenger: Scores

    @property
    def is_finite(self) -> bool:
        """Whether both models give numbers for all rows."""
        return bool(np.isfinite(self.champion.losses).all() and np.isfinite(self.challenger.losses).all())

    def slices(self) -> dict[str, list[ChangedSlice]]:
        """Return the slices by each column of the source, with the losses of both models."""
        difference = replace(self.challenger, losses=self.challenger.losses - self.champion.losses)
        before, now, rises = (slices_of(self.rows, scores) for scores in (self.champion, self.challenger, difference))
        return {name: list(map(_changed, before[name], now[name], rises[name])) for name in rises}


def worse(slices: dict[str, list[ChangedSlice]]) -> list[ChangedSlice]:
    """Return the slices whose loss rose by more than chance, the surest first."""
    parts = [part for column in slices.values() for part in column if part.worse]
    return sorted(parts, key=lambda part: part.margin - part.rise)


def measure_both(
    cycle: Cycle, datasets: CycleDatasets, challenger: Artifact, verdict: Verdict, config: RetrainConfig
) -> Both:
    """Let both models score the rows that judged, as the gate did.

    Args:
        cycle: Names the champion.
        datasets: The rows that judged.
        challenger: A published checkpoint.
        verdict: What the gate said of the metric that judged.
        config: How models are loaded and judged.
    """
    predicted, task = predict_both(cycle, datasets, challenger, config), datasets.schema.task
    chosen = chosen_rows(len(predicted.labels), len(predicted.encoder.features.columns))
    labels = predicted.labels[chosen]
    batches = _inputs(predicted, datasets, chosen)
    names, positive = tuple(map(str, predicted.classes)), None
    if task == "binary":
        names, positive = tuple(map(str, predicted.encoder.schema.classes)), predicted.encoder.schema.classes[1]
    code = predicted.classes.index(positive) if positive is not None else None
    return Both(
        task=task,
        names=names,
        gains=tuple(_gains(predicted, task, verdict, config.gate)),
        rows=HeldOutRows.of_batches(batches, predicted.encoder, len(predicted.labels), len(chosen)),
        champion=scores_of(predicted.champion[chosen], labels, code),
        challenger=scores_of(predicted.challenger[chosen], labels, code),
    )


def scores_of(predicted: Predicted, labels: NDArray[Any], positive: int | None) -> Scores:
    """Return predictions as a page reads them.

    Args:
        predicted: [rows, classes] probabilities, or [rows] values.
        labels: Class codes, or values, [rows].
        positive: The code of the class that a probability is of, where there are two.
    """
    if predicted.ndim == 1:
        return Scores(predicted=predicted, labels=labels, losses=np.abs(predicted - labels))
    true = np.take_along_axis(predicted, labels[:, None], 1)[:, 0]
    losses = -np.log(np.clip(true, SMALLEST, 1))
    if positive is None:
        return Scores(predicted=predicted, labels=labels, losses=losses)
    return Scores(predicted=predicted[:, positive], labels=(labels == positive).astype(np.int64), losses=losses)


def _inputs(predicted: BothPredicted, datasets: CycleDatasets, chosen: Index) -> Iterator[pa.RecordBatch]:
    """Yield the chosen rows as the challenger's inputs, their labels beside them."""
    encoder, start = predicted.encoder, 0
    features = encoder.schema.features
    parts = read_slices([datasets.test.file], [column.name for column in features])
    for part in chosen_parts(parts, chosen):
        inputs = encoder.transform_inputs(as_learnt(part, features), part.subject)
        labels = predicted.labels[chosen[start : start + len(part)]]
        start += len(part)
        yield inputs.append_column(encoder.features.label, pa.array(labels))


def _gains(predicted: BothPredicted, task: TaskName, verdict: Verdict, config: GateConfig) -> Iterator[Gain]:
    yield Gain(
        metric=verdict.metric,
        champion=verdict.champion,
        challenger=verdict.challenger,
        gain=verdict.gain,
        interval=(verdict.low, verdict.high),
    )
    for name in gate_metrics_of(task):
        if name != verdict.metric and (gain := _gain(predicted, name, task, config)):
            yield gain


def _gain(predicted: BothPredicted, metric: str, task: TaskName, config: GateConfig) -> Gain | None:
    """Return a metric of both models, judged as the gate judges; None where the rows do not define it."""
    if len(predicted.labels) > MOST_RESAMPLED:
        champion, challenger = (
            gate.metric_function(metric, array, predicted.labels)(None)
            for array in (predicted.champion, predicted.challenger)
        )
        gain = (champion - challenger) if METRICS[metric].smaller_is_better else (challenger - champion)
        return Gain(metric=metric, champion=champion, challenger=challenger, gain=gain, interval=None)
    try:
        verdict = gate.judge(
            predicted.champion, predicted.challenger, predicted.labels, task, replace(config, metric=metric)
        )
    except DataError:  # such as a class that none of the rows has
        return None
    return Gain(
        metric=metric,
        champion=verdict.champion,
        challenger=verdict.challenger,
        gain=verdict.gain,
        interval=(verdict.low, verdict.high),
    )


def _changed(before: Slice, now: Slice, rise: Slice) -> ChangedSlice:
    return ChangedSlice(
        column=now.column,
        name=now.name,
        rows=now.rows,
        champion=before.loss,
        challenger=now.loss,
        rise=rise.loss,
        margin=rise.margin,
    )
