"""The table of metrics: which tasks have one, which way is better, and how it can be computed.

What computes a metric stands under its name in `unbroken/evaluation/metrics.py`, or, if it needs all scores or judges
challengers, in `unbroken/evaluation/scores.py`.
"""

from dataclasses import dataclass
from typing import Literal

TaskName = Literal["binary", "multiclass", "regression"]

CLASSES: tuple[TaskName, ...] = ("binary", "multiclass")

CONSTANT, TREES = "constant guess", "gradient boosting"
"""What a model has to beat, by the names under which its metrics are told."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """A metric of predictions."""

    name: str
    tasks: tuple[TaskName, ...]
    smaller_is_better: bool
    gated: bool
    """Whether the gate can judge a challenger by it."""
    needs_all_scores: bool = False
    """Whether it is computed from all predictions at once, which are then kept, and not piece by piece."""
    undefined: str = "the predictions of its rows are not finite"
    """Why it can be no finite number."""


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(name="loss", tasks=(*CLASSES, "regression"), smaller_is_better=True, gated=True),
        Metric(name="accuracy", tasks=CLASSES, smaller_is_better=False, gated=True),
        Metric(
            name="auroc",
            tasks=CLASSES,
            smaller_is_better=False,
            gated=True,
            needs_all_scores=True,
            undefined="a class has none of its rows, or all of them",
        ),
        Metric(name="f1", tasks=CLASSES, smaller_is_better=False, gated=False),
        Metric(name="rmse", tasks=("regression",), smaller_is_better=True, gated=True),
        Metric(name="mae", tasks=("regression",), smaller_is_better=True, gated=True),
        Metric(
            name="r2",
            tasks=("regression",),
            smaller_is_better=False,
            gated=False,
            undefined="it has fewer than two rows, or their predictions are not finite",
        ),
    )
}
"""In the order of the history and of reports."""

GATE_METRIC: dict[TaskName, str] = {"binary": "auroc", "multiclass": "auroc", "regression": "rmse"}
"""What the gate judges by when nothing else is set."""


def metrics_of(task: TaskName) -> tuple[Metric, ...]:
    """Return the metrics that a task has, in order."""
    return tuple(metric for metric in METRICS.values() if task in metric.tasks)


def gate_metrics_of(task: TaskName) -> tuple[str, ...]:
    """Return the names of the metrics that the gate can judge a task by, the one it judges by on its own first."""
    first = GATE_METRIC[task]
    return (first, *(metric.name for metric in metrics_of(task) if metric.gated and metric.name != first))


def smaller_is_better(monitor: str) -> bool:
    """Tell whether a monitored metric such as `test_loss` is better when smaller."""
    return METRICS[monitor.partition("_")[2]].smaller_is_better


def why_undefined(monitor: str) -> str:
    """Return why a monitored metric can be no finite number, as a clause."""
    part, _, name = monitor.partition("_")
    return f"of the {part} part, {METRICS[name].undefined}"
