"""How good a model is: the same numbers, to the bit, for the same weights and rows."""

import math
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from unbroken.batches.pieces import PIECE_ROWS, Splittable
from unbroken.config import TaskName
from unbroken.config.metrics import metrics_of
from unbroken.evaluation.running_metrics import Metric as TorchMetric
from unbroken.evaluation.running_metrics import classification, regression
from unbroken.evaluation.scores import SCORES
from unbroken.features.encoder import LabelScale
from unbroken.models.forward import outputs_of
from unbroken.models.loss import loss_of

Metrics = dict[str, float]


@runtime_checkable
class Running(Protocol):
    """A metric that takes rows piece by piece."""

    def add(self, logits: Float[Tensor, "rows outputs"], predicted: Tensor, labels: Tensor, /) -> None:
        """Take some rows.

        Args:
            logits: What the model gave.
            predicted: [rows] probabilities of class 1, [rows, classes] probabilities, or [rows] standardised values.
            labels: [rows] class codes, or standardised values.
        """
        ...

    def compute(self) -> float:
        """Return the metric of all rows so far; NaN if they do not define it."""
        ...


def evaluate(model: nn.Module, rows: Splittable, task: TaskName, label: LabelScale) -> Metrics:
    """Return the metrics of a model on some rows; the model's mode is left as it was.

    Rows are taken PIECE_ROWS at a time, wherever they are kept; only for a metric that needs all scores something of
    each is remembered.

    Args:
        model: From numbers and codes to logits.
        rows: At least one.
        task: Which metrics there are: those of `unbroken/config/metrics.py`, in that order. Classes: loss, accuracy at
            the largest probability, auroc, f1 (both macro for several classes). Regression: loss of standardised values,
            and rmse, mae, r2 in the label's own unit.
        label: The label's scale.

    Returns:
        The value of each metric by its name; NaN if the rows do not define it.
    """
    metrics = metrics_of(task)
    running: dict[str, Running] = {}
    scores = _AllScores(task, label)
    for piece in rows.split(PIECE_ROWS):
        logits, predicted = outputs_of(model, piece, task)
        running = running or {
            metric.name: RUNNING[metric.name](task, logits.shape[1], label)
            for metric in metrics
            if not metric.needs_all_scores
        }
        for metric in running.values():
            metric.add(logits, predicted, piece.labels)
        if len(running) < len(metrics):
            scores.add(predicted, piece.labels)
    return {
        metric.name: scores.compute(metric.name) if metric.needs_all_scores else running[metric.name].compute()
        for metric in metrics
    }


class _AllScores:
    """The predictions and labels of all rows, for the metrics that need them at once."""

    def __init__(self, task: TaskName, label: LabelScale) -> None:
        self.task, self.label = task, label
        self.predicted: list[NDArray[Any]] = []
        self.labels: list[NDArray[Any]] = []

    def add(self, predicted: Tensor, labels: Tensor) -> None:
        if self.task != "regression":
            self.predicted.append(predicted.reshape(len(labels), -1).cpu().numpy())
            self.labels.append(labels.cpu().numpy().astype(np.int16))
        else:
            self.predicted.append(_in_own_unit(predicted, self.label).cpu().numpy())
            self.labels.append(_in_own_unit(labels, self.label).cpu().numpy())

    def compute(self, name: str) -> float:
        self.predicted, self.labels = [np.concatenate(self.predicted)], [np.concatenate(self.labels)]
        return SCORES[name](self.predicted[0], self.labels[0])(None)


class _Loss:
    """The mean loss of the rows, in double precision."""

    def __init__(self, task: TaskName, _: int, __: LabelScale) -> None:
        self.task, self.total, self.rows = task, 0.0, 0

    def add(self, logits: Tensor, _: Tensor, labels: Tensor) -> None:
        exact = labels if self.task == "multiclass" else labels.double()
        self.total += float(loss_of(logits.double(), exact, self.task)) * len(labels)
        self.rows += len(labels)

    def compute(self) -> float:
        return self.total / self.rows if self.rows else math.nan


class _OfClasses:
    """A metric of torchmetrics that compares classes."""

    def __init__(self, metric: TorchMetric) -> None:
        self.metric = metric

    def add(self, _: Tensor, predicted: Tensor, labels: Tensor) -> None:
        self.metric.to(labels.device).update(predicted, labels.long())

    def compute(self) -> float:
        return float(self.metric.compute())


class _OfValues:
    """A metric of torchmetrics that compares values in the label's own unit; `fewest` rows define it."""

    def __init__(self, metric: TorchMetric, label: LabelScale, fewest: int = 1) -> None:
        self.metric, self.label, self.fewest, self.rows = metric.set_dtype(torch.float64), label, fewest, 0

    def add(self, _: Tensor, predicted: Tensor, labels: Tensor) -> None:
        values, expected = (_in_own_unit(part, self.label) for part in (predicted, labels))
        self.rows += len(labels)
        self.metric.to(labels.device).update(values, expected)

    def compute(self) -> float:
        return math.nan if self.rows < self.fewest else float(self.metric.compute())


def _in_own_unit(values: Tensor, label: LabelScale) -> Tensor:
    return values.double() * label.deviation + label.mean


def _accuracy(task: TaskName, outputs: int, _: LabelScale) -> Running:
    binary = task == "binary"
    return _OfClasses(
        classification.BinaryAccuracy() if binary else classification.MulticlassAccuracy(outputs, average="micro")
    )


def _f1(task: TaskName, outputs: int, _: LabelScale) -> Running:
    binary = task == "binary"
    return _OfClasses(
        classification.BinaryF1Score() if binary else classification.MulticlassF1Score(outputs, average="macro")
    )


RUNNING: dict[str, Callable[[TaskName, int, LabelScale], Running]] = {
    "loss": _Loss,
    "accuracy": _accuracy,
    "f1": _f1,
    "rmse": lambda _, __, label: _OfValues(regression.MeanSquaredError(squared=False), label),
    "mae": lambda _, __, label: _OfValues(regression.MeanAbsoluteError(), label),
    "r2": lambda _, __, label: _OfValues(regression.R2Score(), label, fewest=2),
}
"""What makes each metric that takes rows piece by piece, from the task, the number of logits and the label's scale."""
