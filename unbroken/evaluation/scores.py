"""Metrics from all predictions at once, of rows that may count more than once: for the gate's resamples, and the AUROC.

Only NumPy is needed.
"""

import math
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Predicted = NDArray[Any]
"""Floats: [rows, classes] probabilities, [rows, 1] those of class 1 of two, or [rows] values."""

Labels = NDArray[Any]
"""[rows] class codes, or values in the unit of the predictions."""

Counts = NDArray[np.int64]
"""[rows] how often each row counts."""

PIECE_ROWS = 1 << 16
"""Rows that are counted at a time."""

Score = Callable[[Counts | None], float]
"""Computes a metric of rows that count so often, each once for None; NaN where they do not define it."""

SMALLEST_PROBABILITY = 1e-12


def auroc(predicted: Predicted, labels: Labels) -> Score:
    """The area under the ROC curve of class 1 if it stands alone, else the mean of those of each class against the others."""
    columns = predicted.shape[1]
    areas = [Area(predicted[:, column], labels, 1 if columns == 1 else column) for column in range(columns)]
    return lambda counts: sum(area(counts) for area in areas) / columns


class Area:
    """The share of pairs of a row of a class and another row whose scores are in that order, half of it where they are equal.

    Pairs are counted as whole numbers (Mann and Whitney, 1947), so that the result is exact for any number of rows.
    """

    def __init__(self, scores: Predicted, labels: Labels, code: int) -> None:
        self.scores, self.labels, self.code = scores, labels, code

    def __call__(self, counts: Counts | None) -> float:
        """Return the area for rows that count so often; NaN unless there are rows of the class and others."""
        twice, inside, outside = self._each_once() if counts is None else self._counted(counts)
        return twice / (2 * inside * outside) if inside and outside else math.nan

    def _each_once(self) -> tuple[int, int, int]:
        """Return twice the pairs, the rows of the class and the others: in little memory, for rows that are many."""
        positive = self.labels == self.code
        inside, outside = np.sort(self.scores[positive]), np.sort(self.scores[~positive])
        twice = 0
        for start in range(0, len(inside), PIECE_ROWS):
            piece = inside[start : start + PIECE_ROWS]
            twice += int(np.searchsorted(outside, piece, "left").sum() + np.searchsorted(outside, piece, "right").sum())
        return twice, len(inside), len(outside)

    def _counted(self, counts: Counts) -> tuple[int, int, int]:
        """Return the same of rows that count so often: in little time, for resamples that are many."""
        order, positive, starts = self._ranks
        weights = counts[order]
        inside = np.add.reduceat(weights * positive, starts)
        outside = np.add.reduceat(weights * ~positive, starts)
        twice = int((inside * (2 * np.cumsum(outside) - outside)).sum())
        return twice, int(inside.sum()), int(outside.sum())

    @cached_property
    def _ranks(self) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.int64]]:
        """The order of the scores, which rows are of the class in it, and where each run of equal scores begins."""
        order = np.argsort(self.scores, kind="stable")
        starts = np.flatnonzero(np.diff(self.scores[order], prepend=-np.inf))
        return order, (self.labels == self.code)[order], starts


def _mean(errors: NDArray[np.float64]) -> Score:
    return lambda counts: float(errors.mean() if counts is None else counts @ errors / counts.sum())


def loss(predicted: Predicted, labels: Labels) -> Score:
    """The mean cross-entropy, or the mean squared error."""
    if predicted.ndim == 1:
        return _mean((predicted - labels) ** 2)
    return _mean(-np.log(np.maximum(predicted[np.arange(len(labels)), labels], SMALLEST_PROBABILITY)))


def accuracy(predicted: Predicted, labels: Labels) -> Score:
    """The share of rows whose class has the largest probability."""
    return _mean((predicted.argmax(axis=1) == labels).astype(np.float64))


def rmse(predicted: Predicted, labels: Labels) -> Score:
    """The root of the mean squared error."""
    squares = _mean((predicted - labels) ** 2)
    return lambda counts: math.sqrt(squares(counts))


def mae(predicted: Predicted, labels: Labels) -> Score:
    """The mean absolute error."""
    return _mean(np.abs(predicted - labels))


SCORES: dict[str, Callable[[Predicted, Labels], Score]] = {
    "loss": loss,
    "accuracy": accuracy,
    "auroc": auroc,
    "rmse": rmse,
    "mae": mae,
}
"""What computes each metric that judges challengers or needs all scores."""
