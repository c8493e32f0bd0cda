"""Whether probabilities can be trusted, and how far off values are: the numbers behind the charts."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
POINTS, BINS = 120, 10
SIGMAS = 1.96


@dataclass(frozen=True, kw_only=True)
class Curves:
    """The ROC and the precision-recall curve of a class against all others, at most POINTS points each; from strict to lax."""

    false_positive: Array
    true_positive: Array
    precision: Array
    area: float
    average_precision: float


def curves(scores: Array, positive: Array) -> Curves | None:
    """Return the curves of [rows] scores; None unless there are rows of the class and others."""
    positives = int(positive.sum())
    if not 0 < positives < len(positive):
        return None
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)  # equal scores stand or fall together
    hits = np.cumsum(positive[order])[ends]
    recall, false = hits / positives, (ends + 1 - hits) / (len(positive) - positives)
    precision = hits / (ends + 1)
    recall, false = np.append(0.0, recall), np.append(0.0, false)
    precision = np.append(precision[0], precision)
    chosen = np.unique(np.linspace(0, len(recall) - 1, POINTS).round().astype(int))
    return Curves(
        false_positive=false[chosen],
        true_positive=recall[chosen],
        precision=precision[chosen],
        area=float(np.trapezoid(recall, false)),
        average_precision=float((np.diff(recall) * precision[1:]).sum()),
    )


@dataclass(frozen=True, kw_only=True)
class CalibrationBin:
    """Rows of about equal probability: how many, their mean probability, and how often it came true, with a 95% interval."""

    rows: int
    predicted: float
    observed: float
    low: float
    high: float


def calibration(probabilities: Array, came_true: Array) -> list[CalibrationBin]:
    """Return the reliability of [rows] probabilities in bins of about equally many rows."""
    order = np.argsort(probabilities, kind="stable")
    parts = np.array_split(order, min(BINS, len(order)))
    return [_bin(probabilities[part], came_true[part]) for part in parts if len(part)]


def calibration_error(bins: list[CalibrationBin]) -> float:
    """Return the mean distance of probability and share over the bins, each by its rows: the expected calibration error."""
    rows = sum(part.rows for part in bins)
    return sum(part.rows * abs(part.predicted - part.observed) for part in bins) / rows


def _bin(probabilities: Array, came_true: Array) -> CalibrationBin:
    """Return a bin with the interval of Wilson (1927)."""
    rows, share, square = len(probabilities), float(came_true.mean()), SIGMAS**2
    centre = (share + square / (2 * rows)) / (1 + square / rows)
    half = SIGMAS / (1 + square / rows) * np.sqrt(share * (1 - share) / rows + square / (4 * rows**2))
    low, high = max(0.0, float(centre - half)), min(1.0, float(centre + half))
    return CalibrationBin(
        rows=rows, predicted=float(probabilities.mean()), observed=share, low=min(low, share), high=max(high, share)
    )


def confusion(labels: Array, predicted: Array, classes: int) -> Array:
    """Return [classes, classes] the rows of each true class (first axis) by the class that was predicted."""
    return np.bincount(labels * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def histogram(values: Array, bins: int = 40) -> list[tuple[float, float, int]]:
    """Return low, high and count of bins between the quantiles of 0.5% and 99.5%, the outermost holding what lies beyond."""
    low, high = np.quantile(values, [0.005, 0.995])
    if low == high:
        return [(float(low), float(high), len(values))]
    edges = np.linspace(low, high, bins + 1)
    counts, _ = np.histogram(np.clip(values, low, high), edges)
    return [(float(a), float(b), int(count)) for a, b, count in zip(edges[:-1], edges[1:], counts, strict=True)]


@dataclass(frozen=True, kw_only=True)
class Band:
    """The true values of rows of about equal predicted value: their mean prediction and some quantiles."""

    predicted: float
    low: float
    middle: float
    high: float


def bands(predicted: Array, labels: Array, most: int = 20) -> list[Band]:
    """Return how the true values lie around the predicted ones, in bins of about equally many rows."""
    order = np.argsort(predicted, kind="stable")
    parts = np.array_split(order, min(most, len(order)))
    quantiles = [(float(predicted[part].mean()), *np.quantile(labels[part], [0.05, 0.5, 0.95])) for part in parts]
    return [
        Band(predicted=mean, low=float(low), middle=float(middle), high=float(high))
        for mean, low, middle, high in quantiles
    ]
