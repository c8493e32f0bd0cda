"""Mean and deviation of a stream of values."""

from dataclasses import dataclass, field

import numpy as np

from unbroken.data.kinds import Float64, Floats

MOMENT_ROWS = 1 << 16


@dataclass
class Moments:
    """Mean, and squared deviations if asked for: the pairwise update of Chan, Golub and LeVeque (1979), which loses no digits.

    Values are added MOMENT_ROWS at a time, so that the bits do not depend on how many come at once.
    """

    spread: bool = False
    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    _folded: int = 0
    _buffer: Float64 = field(default_factory=lambda: np.empty(MOMENT_ROWS))

    def add(self, values: Floats) -> None:
        """Add values; the last of them count from `fold` on."""
        while len(values):
            start = self.count - self._folded
            piece = values[: MOMENT_ROWS - start]
            self._buffer[start : start + len(piece)] = piece
            self.count += len(piece)
            values = values[len(piece) :]
            if self.count - self._folded == MOMENT_ROWS:
                self.fold()

    def fold(self) -> None:
        """Add the values in the buffer; call it once more after the last."""
        size = self.count - self._folded
        if not size:
            return
        values, total = self._buffer[:size], self.count
        with np.errstate(over="ignore", invalid="ignore"):
            # Divided before they are added up, since a sum of large values can overflow where the mean does not.
            mean = float(np.divide(values, size, out=None if self.spread else values).sum())
            if self.spread:
                distance = np.float64(mean) - self.mean
                self.squares += float(
                    ((values - mean) ** 2).sum() + distance * distance * (self._folded * size / total)
                )
        self.mean = self.mean * (self._folded / total) + mean * (size / total)
        self._folded = total
