"""How good a model is: the same numbers, to the bit, for the same weights and rows."""

import math
from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchmetrics import classification, regression

from unbroken.batches.rows import Rows
from unbroken.config import TaskName
from unbroken.features.encoder import LabelScale
from unbroken.models.forward import outputs_of
from unbroken.models.loss import loss_of

PIECE_ROWS = 1 << 16
"""Rows that are evaluated at a time, a multiple of CHUNK_ROWS."""

Metrics = dict[str, float]


class Splittable(Protocol):
    """Rows, wherever they are kept."""

    def split(self, size: int) -> Iterator[Rows]:
        """Yield so many rows each, in order; the last one may have fewer."""
        ...


METRICS_OF: dict[TaskName, tuple[str, ...]] = {
    "binary": ("loss", "accuracy", "auroc", "f1"),
    "multiclass": ("loss", "accuracy", "auroc", "f1"),
    "regression": ("loss", "rmse", "mae", "r2"),
}


def evaluate(model: nn.Module, rows: Splittable, task: TaskName, label: LabelScale) -> Metrics:
    """Return the loss and the metrics of a model on some rows; the model's mode is left as it was.

    Binary: accuracy, auroc, f1 at probability 0.5. Multiclass: accuracy, macro auroc, macro f1.
    Regression: rmse, mae (in the label's own unit) and r2. A metric that the rows do not define is NaN.
    Rows are taken PIECE_ROWS at a time, wherever they are kept; for the AUROC alone something of each is remembered.
    """
    loss, count, score = 0.0, 0, None
    for piece in rows.split(PIECE_ROWS):
        logits, predicted = outputs_of(model, piece, task)
        labels = piece.labels if task == "multiclass" else piece.labels.double()
        loss += float(loss_of(logits.double(), labels, task)) * len(piece)
        count += len(piece)
        score = score or (_Regression(label) if task == "regression" else _Classes(task, logits.shape[1]))
        score.add(predicted, piece.labels)
    assert score is not None  # there is always a first piece
    return {"loss": loss / count if count else math.nan, **score.compute()}


class _Classes:
    """Accuracy, F1 and AUROC, piece by piece."""

    def __init__(self, task: TaskName, outputs: int) -> None:
        self.classes = max(2, outputs)
        if task == "binary":
            self.accuracy, self.f1 = classification.BinaryAccuracy(), classification.BinaryF1Score()
        else:
            self.accuracy = classification.MulticlassAccuracy(outputs, average="micro")
            self.f1 = classification.MulticlassF1Score(outputs, average="macro")
        self.probabilities: list[np.ndarray] = []
        self.labels: list[np.ndarray] = []

    def add(self, probabilities: Tensor, labels: Tensor) -> None:
        for metric in (self.accuracy, self.f1):
            metric.to(labels.device).update(probabilities, labels.long())
        self.probabilities.append(probabilities.reshape(len(labels), -1).cpu().numpy())
        self.labels.append(labels.cpu().numpy().astype(np.int16))

    def compute(self) -> Metrics:
        return {"accuracy": float(self.accuracy.compute()), "auroc": self._auroc(), "f1": float(self.f1.compute())}

    def _auroc(self) -> float:
        """Return the AUROC of class 1, or the mean of those of each class against the others."""
        labels = np.concatenate(self.labels)
        if len(np.unique(labels)) < self.classes:
            return math.nan
        columns = range(self.probabilities[0].shape[1])
        found = []
        for column in columns:
            scores = np.concatenate([piece[:, column] for piece in self.probabilities])
            found.append(auroc(scores, labels == (column if len(columns) > 1 else 1)))
        return sum(found) / len(found)


def auroc(scores: NDArray[np.float32], positive: NDArray[np.bool_]) -> float:
    """Return the share of pairs of a positive and another row whose scores are in that order, half of it where they are equal.

    Pairs are counted as whole numbers (Mann and Whitney, 1947), so that the result is exact for any number of rows.
    """
    above, others = np.sort(scores[positive]), np.sort(scores[~positive])
    twice = 0
    for start in range(0, len(above), PIECE_ROWS):
        piece = above[start : start + PIECE_ROWS]
        twice += int(np.searchsorted(others, piece, "left").sum() + np.searchsorted(others, piece, "right").sum())
    return twice / (2 * len(above) * len(others))


class _Regression:
    """RMSE, MAE and R2, piece by piece."""

    def __init__(self, label: LabelScale) -> None:
        self.label, self.rows = label, 0
        self.metrics = {
            "rmse": regression.MeanSquaredError(squared=False),
            "mae": regression.MeanAbsoluteError(),
            "r2": regression.R2Score(),
        }

    def add(self, values: Tensor, labels: Tensor) -> None:
        found, expected = (part.double() * self.label.deviation + self.label.mean for part in (values, labels))
        self.rows += len(labels)
        for metric in self.metrics.values():
            metric.set_dtype(torch.float64).to(labels.device).update(found, expected)

    def compute(self) -> Metrics:
        undefined = {"r2"} if self.rows < 2 else set()
        return {
            name: math.nan if name in undefined else float(metric.compute()) for name, metric in self.metrics.items()
        }
