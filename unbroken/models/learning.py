"""What a model learns of its inputs from the rows that train, before its first step."""

from typing import Protocol, runtime_checkable

import torch
from torch import nn

from unbroken.batches.pieces import PIECE_ROWS, Splittable
from unbroken.batches.rows import Rows

LEARNT_ROWS = 1 << 16
"""Of more rows than that, every second, third ... is learnt from, so that they stay fewer."""


@runtime_checkable
class Learner(Protocol):
    """A model that is to know something of its inputs before its first step; it keeps that in buffers."""

    def learn_inputs(self, rows: Rows) -> None:
        """Look at some of the rows that train."""
        ...


def learn_inputs(model: nn.Module, rows: Splittable) -> None:
    """Show a model that learns of its inputs the rows that train, or enough of them, the same wherever they are kept."""
    if isinstance(model, Learner):
        step = -(-len(rows) // LEARNT_ROWS)
        pieces, start = [], 0
        for piece in rows.split(PIECE_ROWS):
            pieces.append(piece.take(torch.arange(-start % step, len(piece), step, device=piece.device)))
            start += len(piece)
        model.learn_inputs(Rows.cat(pieces))
