"""One table of metrics: which task has which, and which way is better."""

from typing import Literal

TaskName = Literal["binary", "multiclass", "regression"]
METRICS = ("loss", "accuracy", "auroc", "f1", "rmse", "mae", "r2")
SMALLER_IS_BETTER = ("loss", "rmse", "mae")


def smaller_is_better(monitor: str) -> bool:
    """Tell whether a monitored metric such as `test_loss` is better when smaller."""
    return monitor.partition("_")[2] in SMALLER_IS_BETTER
