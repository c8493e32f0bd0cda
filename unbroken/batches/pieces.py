"""Rows a piece at a time, wherever they are kept."""

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from unbroken.batches.rows import Rows

PIECE_ROWS = 1 << 16
"""Rows that a model evaluates at a time, a multiple of the rows of its passes."""


@runtime_checkable
class Splittable(Protocol):
    """Rows, wherever they are kept."""

    def __len__(self) -> int: ...

    def split(self, size: int) -> Iterator[Rows]:
        """Yield so many rows each, in order; the last one may have fewer."""
        ...
