"""How fast a training goes and how long it will take, as text."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from unbroken.training.progress import Progress

MINUTE, HOUR, DAY = 60, 3600, 86400


@dataclass
class Pace:
    """The rate of a training since this process went on with it, evaluation and saving included."""

    clock: Callable[[], float] = time.monotonic
    first: tuple[float, int] | None = None
    rate: float = 0.0
    """Rows a second."""

    def add(self, progress: Progress) -> None:
        """Take note of how far the training is now."""
        now, done = self.clock(), _rows_done(progress)
        if self.first is None:
            self.first = now, done
        started, before = self.first
        self.rate = (done - before) / (now - started) if now > started else 0.0

    def words(self, progress: Progress) -> str:
        """Return epoch, rows, loss, and as soon as they are known rate and time left."""
        parts = [
            f"epoch {progress.epoch} of {progress.epochs}",
            f"{progress.rows:,} of {progress.total_rows:,} rows",
            f"loss {progress.loss:.4f}",
        ]
        if self.rate:
            left = (progress.epochs * progress.total_rows - _rows_done(progress)) / self.rate
            parts += [f"{self.rate:,.0f} rows/s", f"about {duration(left)} left"]
        return ", ".join(parts)


def duration(seconds: float) -> str:
    """Return a time in the unit that suits it."""
    if seconds < 2 * MINUTE:
        return f"{seconds:.0f} s"
    if seconds < 2 * HOUR:
        return f"{seconds / MINUTE:.0f} min"
    return f"{seconds / HOUR:.1f} h" if seconds < 2 * DAY else f"{seconds / DAY:.0f} days"


def _rows_done(progress: Progress) -> int:
    return (progress.epoch - 1) * progress.total_rows + progress.rows
