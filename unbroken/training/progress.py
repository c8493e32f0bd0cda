"""How far a training is."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a training is; `step`, `steps`, `rows` and `total_rows` are within the epoch."""

    epoch: int
    epochs: int
    step: int
    steps: int
    rows: int
    total_rows: int


Report = Callable[[Progress], None]
