"""Decisions that follow from the history of the epochs alone, so that they need no state of their own."""

import math

from unbroken.config.chosen import Chosen
from unbroken.config.metrics import smaller_is_better

History = list[dict[str, float]]


def best_epoch(history: History, monitor: str | None) -> int | None:
    """Return the number of the epoch with the best monitored metric, the earliest of equals.

    None if none has a finite one, or nothing is monitored.
    """
    best = _improvements(history, monitor, 0.0) if monitor else []
    return best[-1] if best else None


def stopped_early(history: History, chosen: Chosen) -> bool:
    """Tell whether the monitored metric was finite in `patience` epochs since it last became better by `min_delta`."""
    if chosen.patience is None or chosen.monitor is None:
        return False
    better = _improvements(history, chosen.monitor, chosen.min_delta)
    since = history[better[-1] :] if better else []
    return sum(math.isfinite(entry[chosen.monitor]) for entry in since) >= chosen.patience


def is_finished(history: History, chosen: Chosen) -> bool:
    """Tell whether a training has reached its end: all its epochs, or no progress any more."""
    return len(history) >= chosen.epochs or stopped_early(history, chosen)


def _improvements(history: History, monitor: str, min_delta: float) -> list[int]:
    sign = 1 if smaller_is_better(monitor) else -1
    best, epochs = math.inf, []
    for epoch, entry in enumerate(history, start=1):
        value = sign * entry[monitor]
        if math.isfinite(value) and value < best and (best == math.inf or best - value > min_delta):
            best = value
            epochs.append(epoch)
    return epochs
