"""Judge whether a challenger is better: a paired comparison on the same rows, with a bootstrap confidence interval.

Both models score each row, and each resample draws the same rows for both (Efron and Tibshirani, "An Introduction to the
Bootstrap", 1993): what makes a row hard for both cancels. The challenger is promoted only if the whole interval of its
gain lies above the margin, so chance or a tie keeps the champion.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unbroken.config import GateConfig, TaskName
from unbroken.config.metrics import smaller_is_better
from unbroken.config.retraining import GateMetric
from unbroken.data.permutation import derive
from unbroken.errors import ConfigError, DataError

PredictionArray = NDArray[np.float64]
"""[rows, classes] probabilities, or [rows] values."""

Counts = NDArray[np.int64]
"""How often each row counts."""

SMALLEST_PROBABILITY = 1e-12

METRICS_OF: dict[TaskName, tuple[GateMetric, ...]] = {
    "binary": ("auroc", "loss", "accuracy"),
    "multiclass": ("auroc", "loss", "accuracy"),
    "regression": ("rmse", "mae", "loss"),
}


@dataclass(frozen=True, kw_only=True)
class SliceScore:
    """Both scores on the rows of one slice; `gain` is positive where the challenger is better."""

    name: str
    rows: int
    champion: float
    challenger: float
    gain: float


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the gate says and why.

    Attributes:
        promote: Whether the challenger becomes the champion.
        reason: Why, for a person.
        metric: What was compared.
        rows: How many rows judged.
        champion: The champion's metric, or that of a constant guess.
        challenger: The challenger's metric.
        gain: How much better the challenger is, in units of the metric; positive is better.
        low: The lower end of the confidence interval of the gain.
        high: The upper end.
        slices: Both metrics on the rows of each slice.
    """

    promote: bool
    reason: str
    metric: str
    rows: int
    champion: float
    challenger: float
    gain: float
    low: float
    high: float
    slices: tuple[SliceScore, ...] = ()

    def __str__(self) -> str:
        return (
            f"{'promote' if self.promote else 'keep the champion'}: {self.reason}; {self.metric} of champion "
            f"{self.champion:.4f}, challenger {self.challenger:.4f} on {self.rows:,} rows, "
            f"gain {self.gain:+.4f} in {self.low:+.4f} .. {self.high:+.4f}"
        )


def judge(
    champion: PredictionArray,
    challenger: PredictionArray,
    labels: NDArray,
    task: TaskName,
    config: GateConfig,
    slices: Mapping[str, NDArray] | None = None,
) -> Verdict:
    """Compare the predictions of two models for the same rows.

    Args:
        champion: The predictions of the champion.
        challenger: Those of the challenger.
        labels: Class codes, or values, [rows].
        task: What the labels are.
        config: The metric, the interval and the margin.
        slices: The values of each slice column, [rows].

    Raises:
        ConfigError: The task does not have the metric.
        DataError: The rows do not define it, as where a class is absent.
    """
    metric = metric_for(task, config)
    sign = -1.0 if smaller_is_better(f"test_{metric}") else 1.0
    champion_score, challenger_score = (metric_function(metric, array, labels) for array in (champion, challenger))
    ones = np.ones(len(labels), np.int64)
    gain = sign * (challenger_score(ones) - champion_score(ones))
    if np.isnan(gain):
        raise DataError(
            f"found {len(labels)} rows that judge, which do not define {metric}; expected every class in them"
        )
    low, high = _interval(
        lambda counts: sign * (challenger_score(counts) - champion_score(counts)), len(labels), config
    )
    scores = tuple(_slice_scores(metric, sign, champion, challenger, labels, slices or {}, config))
    promote, reason = _decide(low, scores, config)
    return Verdict(
        promote=promote,
        reason=reason,
        metric=metric,
        rows=len(labels),
        champion=champion_score(ones),
        challenger=challenger_score(ones),
        gain=gain,
        low=low,
        high=high,
        slices=scores,
    )


def metric_for(task: TaskName, config: GateConfig) -> GateMetric:
    """Return the metric that a task is judged by; raise ConfigError if the task does not have it."""
    metrics = METRICS_OF[task]
    if config.metric != "auto" and config.metric not in metrics:
        raise ConfigError(f"gate.metric: found {config.metric!r}, expected one of {', '.join(metrics)} for {task}")
    return metrics[0] if config.metric == "auto" else config.metric


def metric_function(metric: GateMetric, predictions: PredictionArray, labels: NDArray) -> Callable[[Counts], float]:
    """Return the function that computes a metric, given how often each row counts; NaN where the rows do not define it."""
    if metric == "auroc":
        return _auroc(predictions, labels)
    if predictions.ndim == 1:
        errors = np.abs(predictions - labels) if metric == "mae" else (predictions - labels) ** 2
    elif metric == "loss":
        errors = -np.log(np.maximum(predictions[np.arange(len(labels)), labels], SMALLEST_PROBABILITY))
    else:
        errors = (predictions.argmax(axis=1) == labels).astype(np.float64)
    root = np.sqrt if metric == "rmse" else float
    return lambda counts: float(root(counts @ errors / counts.sum()))


def _auroc(predictions: PredictionArray, labels: NDArray) -> Callable[[Counts], float]:
    """The area under the ROC curve by ranks, ties counting half; of several classes the mean of one against the rest."""
    classes = predictions.shape[1]
    areas = [_area(predictions[:, code], labels == code) for code in ([1] if classes == 2 else range(classes))]
    return lambda counts: float(np.mean([area(counts) for area in areas]))


def _area(scores: PredictionArray, positive: NDArray[np.bool_]) -> Callable[[Counts], float]:
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))
    ordered = positive[order]

    def area(counts: Counts) -> float:
        weights = counts[order]
        above = np.add.reduceat(weights * ordered, starts)
        below = np.add.reduceat(weights * ~ordered, starts)
        pairs = float(above.sum()) * float(below.sum())
        return float((above * (np.cumsum(below) - below / 2)).sum()) / pairs if pairs else np.nan

    return area


def _interval(gain: Callable[[Counts], float], rows: int, config: GateConfig) -> tuple[float, float]:
    """Return the ends of the confidence interval of a gain over bootstrap resamples of the rows."""
    generator = np.random.Generator(np.random.PCG64(derive(0, "bootstrap", rows)))
    resamples = (np.bincount(generator.integers(0, rows, rows), minlength=rows) for _ in range(config.resamples))
    gains = np.array([gain(counts) for counts in resamples])
    gains = gains[~np.isnan(gains)]
    if not len(gains):
        raise DataError(f"found {rows} rows that judge, too few to resample; expected more")
    tail = (1 - config.confidence) / 2
    low, high = np.quantile(gains, [tail, 1 - tail])
    return float(low), float(high)


def _slice_scores(
    metric: GateMetric,
    sign: float,
    champion: PredictionArray,
    challenger: PredictionArray,
    labels: NDArray,
    slices: Mapping[str, NDArray],
    config: GateConfig,
) -> list[SliceScore]:
    scores = []
    for column, values in slices.items():
        for value in np.unique(values):
            mask = values == value
            rows = int(mask.sum())
            if rows < config.slice_rows:
                continue
            ones = np.ones(rows, np.int64)
            champion_score, challenger_score = (
                metric_function(metric, array[mask], labels[mask])(ones) for array in (champion, challenger)
            )
            score = SliceScore(
                name=f"{column}={value}",
                rows=rows,
                champion=champion_score,
                challenger=challenger_score,
                gain=sign * (challenger_score - champion_score),
            )
            if not np.isnan(score.gain):  # NaN in a slice of one class
                scores.append(score)
    return scores


def _decide(low: float, slices: tuple[SliceScore, ...], config: GateConfig) -> tuple[bool, str]:
    if not low > config.margin:
        return False, f"the interval of the gain is not above {config.margin:g}"
    fallen = [part for part in slices if part.gain < -config.slice_bound]
    if fallen:
        worst = min(fallen, key=lambda part: part.gain)
        return False, f"{worst.name} falls by {-worst.gain:.4f}, more than {config.slice_bound:g}"
    return True, f"the interval of the gain is above {config.margin:g}"
