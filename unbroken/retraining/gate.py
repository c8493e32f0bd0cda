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
from unbroken.config.metrics import METRICS, gate_metrics_of
from unbroken.data.permutation import derive
from unbroken.errors import ConfigError, DataError
from unbroken.evaluation.scores import SCORES, Counts, Labels, Predicted, Score


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
    champion: Predicted,
    challenger: Predicted,
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
    sign = -1.0 if METRICS[metric].smaller_is_better else 1.0
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


def metric_for(task: TaskName, config: GateConfig) -> str:
    """Return the metric that a task is judged by; raise ConfigError if the task does not have it."""
    names = gate_metrics_of(task)
    if config.metric != "auto" and config.metric not in names:
        raise ConfigError(f"gate.metric: found {config.metric!r}, expected one of {', '.join(names)} for {task}")
    return names[0] if config.metric == "auto" else config.metric


def metric_function(metric: str, predicted: Predicted, labels: Labels) -> Score:
    """Return what computes a metric of rows that count so often; NaN where the rows do not define it."""
    if METRICS[metric].needs_all_scores and predicted.shape[1:] == (2,):
        predicted = predicted[:, 1:]  # of two classes, the probability of the second says all
    return SCORES[metric](predicted, labels)


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
    metric: str,
    sign: float,
    champion: Predicted,
    challenger: Predicted,
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
