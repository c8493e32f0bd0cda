"""The order of the rows in an epoch: a function of (seed, epoch), any position of which is computed without what came before.

Up to `shuffle_rows` rows are one window, whose rows are shuffled. More are cut into blocks of BLOCK_ROWS neighbours; the
blocks are shuffled, a number of them make a window, and the rows of a window are shuffled. So a window can be read from disk in
large pieces, whichever rows it is made of.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from unbroken.config.training import BLOCK_ROWS
from unbroken.data.permutation import Index, Permutation, derive


@dataclass(frozen=True, slots=True)
class Window:
    """A part of an epoch: from the position `start` on, the rows of some blocks in the order of a permutation.

    The blocks ascend, so that the last of all, which may be smaller than the others, stands last.
    """

    start: int
    blocks: Index
    order: Permutation

    def __len__(self) -> int:
        return self.order.size

    def rows(self, positions: Index) -> Index:
        """Return which rows of the data stand at positions of the window before it is shuffled."""
        if self.blocks[-1] < len(self.blocks):
            return positions  # all blocks from the first on: the window begins where the data does
        return self.blocks.take(positions // BLOCK_ROWS) * BLOCK_ROWS + positions % BLOCK_ROWS


def windows(rows: int, shuffle_rows: int, seed: int, epoch: int, position: int = 0) -> Iterator[Window]:
    """Yield the windows of an epoch from the one that holds a position on.

    Args:
        rows: How many there are.
        shuffle_rows: Rows a window, at least BLOCK_ROWS.
        seed: That of the training.
        epoch: From 0.
        position: A row's number in the epoch's order, 0 .. rows-1.
    """
    blocks, window_blocks = -(-rows // BLOCK_ROWS), shuffle_rows // BLOCK_ROWS
    shuffled = Permutation(blocks, derive(seed, "blocks", epoch)).at(0, blocks)
    start = 0
    for number, first in enumerate(range(0, blocks, window_blocks)):
        members = np.sort(shuffled[first : first + window_blocks])
        size = len(members) * BLOCK_ROWS - (blocks * BLOCK_ROWS - rows if members[-1] == blocks - 1 else 0)
        if position < start + size:
            yield Window(start, members, Permutation(size, derive(seed, "order", epoch, number)))
        start += size


def rows_at(rows: int, shuffle_rows: int, seed: int, epoch: int, start: int, stop: int) -> Index:
    """Return which rows stand at the positions start .. stop-1 of an epoch's order.

    Args:
        rows: How many there are.
        shuffle_rows: Rows a window, at least BLOCK_ROWS.
        seed: That of the training.
        epoch: From 0.
        start: The first position.
        stop: The position after the last.
    """
    parts = []
    for window in windows(rows, shuffle_rows, seed, epoch, start):
        if window.start >= stop:
            break
        first, last = max(0, start - window.start), min(len(window), stop - window.start)
        parts.append(window.rows(window.order.at(first, last)))
    return np.concatenate(parts)
