"""The batches of an epoch: any step of any epoch is reached without replaying what came before."""

from collections.abc import Callable, Iterator

import torch

from unbroken.batches.order import windows
from unbroken.batches.rows import Rows, Shufflable
from unbroken.data.permutation import SORTED_ROWS


def epoch_batches(
    rows: Shufflable,
    batch_size: int,
    seed: int,
    epoch: int,
    first_step: int = 0,
    prepare: Callable[[Rows], Rows] = lambda block: block,
    shuffle_rows: int = 1 << 19,
) -> Iterator[Rows]:
    """Yield the batches of an epoch in its order, from any step on; the last one may be smaller.

    Rows are gathered in blocks of many batches, since gathering costs per call more than per row. The memory of every
    batch is aligned, since the bits of a matrix product depend on it, and a block begins elsewhere after a resume.

    Args:
        rows: In memory or on disk.
        batch_size: Rows a batch.
        seed: That of the training.
        epoch: From 0.
        first_step: The first step to yield, from 0; those before it cost nothing.
        prepare: Applied to each block; must treat each row alone.
        shuffle_rows: Rows that are shuffled together, at least BLOCK_ROWS.
    """
    position = first_step * batch_size
    block = max(1, SORTED_ROWS // batch_size) * batch_size
    remainder: list[Rows] = []
    for window, take in rows.open_windows(windows(len(rows), shuffle_rows, seed, epoch, position), shuffle_rows):
        for start in range(max(0, position - window.start), len(window), block):
            stop = min(start + block, len(window))
            part = Rows.cat([*remainder, take(torch.from_numpy(window.order.at(start, stop)))])
            # A batch that a window cuts off is completed by the next one.
            complete = len(part) if window.start + stop == len(rows) else len(part) // batch_size * batch_size
            remainder = [part.slice(complete, len(part))]
            if complete:
                yield from prepare(part.slice(0, complete)).aligned_split(batch_size)


def steps_per_epoch(rows: int, batch_size: int) -> int:
    """Return how many batches an epoch has."""
    return -(-rows // batch_size)
