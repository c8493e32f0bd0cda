"""Mean and deviation of a stream of values."""

from dataclasses import dataclass, field

import numpy as np

from unbroken.data.kinds import Float64, Floats

MOMENT_ROWS = 1 << 16


@dataclass
class Moments:
    """Mean, and squared deviations if asked for: the pairwise update of Chan, Golub and LeVeque (1979), which loses no digits.

    Values are taken in by MOMENT_ROWS at a time, so that the bits do not depend on how many come at once.
    """

    spread: bool = False
    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    _folded: int = 0
    _waiting: Float64 = field(default_factory=lambda: np.empty(MOMENT_ROWS))

    def add(self, values: Floats) -> None:
        """Take in values; the last of them wait for `fold`."""
        while len(values):
            place = self.count - self._folded
            taken = values[: MOMENT_ROWS - place]
            self._waiting[place : place + len(taken)] = taken
            self.count += len(taken)
            values = values[len(taken) :]
            if self.count - self._folded == MOMENT_ROWS:
                self.fold()

    def fold(self) -> None:
        """Take in the values that wait; call it once more after the last."""
        added = self.count - self._folded
        if not added:
            return
        values, total = self._waiting[:added], self.count
        with np.errstate(over="ignore", invalid="ignore"):
            # Divided before they are added up, since a sum of large values can overflow where the mean does not.
            mean = float(np.divide(values, added, out=None if self.spread else values).sum())
            if self.spread:
                apart = np.float64(mean) - self.mean
                self.squares += float(((values - mean) ** 2).sum() + apart * apart * (self._folded * added / total))
        self.mean = self.mean * (self._folded / total) + mean * (added / total)
        self._folded = total
