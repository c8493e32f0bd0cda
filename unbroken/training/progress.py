"""How far a training is."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a training is; `step`, `steps`, `rows`, `total_rows` and the mean `loss` of the rows so far are within the epoch."""

    epoch: int
    epochs: int
    step: int
    steps: int
    rows: int
    total_rows: int
    loss: float


Report = Callable[[Progress], None]
