"""The outputs of a model outside training: the same bits for a row whatever rows stand around it."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from unbroken.batches.rows import Rows
from unbroken.config import TaskName
from unbroken.errors import ConfigError

CHUNK_ROWS = 1 << 10
"""Rows in every pass of a model outside training. A matrix product of another number of rows rounds differently."""
LOGITS_DIMENSIONS, MEMBERS_DIMENSIONS = 2, 3


@torch.no_grad()
def outputs_of(model: nn.Module, rows: Rows, task: TaskName) -> tuple[Float[Tensor, "rows outputs"], Tensor]:
    """Return the logits of some rows and what `predictions` makes of them; the model's mode is left as it was.

    Every chunk has CHUNK_ROWS rows, the last one filled up, so that the values of a row are the same bits whatever
    rows stand around it: a row alone, a file and an evaluation agree.
    """
    training = model.training
    model.eval()
    starts = range(0, max(1, len(rows)), CHUNK_ROWS)
    chunks = [_chunk(model, rows.slice(start, start + CHUNK_ROWS), task) for start in starts]
    model.train(training)
    return torch.cat([logits for logits, _ in chunks]), torch.cat([predicted for _, predicted in chunks])


def _chunk(model: nn.Module, rows: Rows, task: TaskName) -> tuple[Tensor, Tensor]:
    count = len(rows)
    numbers, codes = (functional.pad(part, (0, 0, 0, CHUNK_ROWS - count)) for part in (rows.numbers, rows.codes))
    logits = to_logits(model(numbers, codes), CHUNK_ROWS)
    return logits[:count], predictions(logits, task)[:count]


def to_logits(outputs: object, rows: int) -> Float[Tensor, "rows outputs"]:
    """Return what a model gave for so many rows as logits, those of 16 bits in float32; raise ConfigError if it is none."""
    if not isinstance(outputs, Tensor):
        raise ConfigError(f"model.factory: its model gives {type(outputs).__name__}, expected a tensor of logits alone")
    if outputs.dim() != LOGITS_DIMENSIONS or len(outputs) != rows or not outputs.is_floating_point():
        raise ConfigError(
            f"model.factory: its model gives {outputs.dtype} {list(outputs.shape)} for {rows} rows, expected floating-point "
            f"logits, one row for each"
        )
    return outputs.float() if outputs.element_size() < torch.float32.itemsize else outputs


def of_each_member(outputs: object, labels: Tensor) -> tuple[object, Tensor]:
    """Return what a model gave for the rows of its training, as one row of logits a label.

    A model of members gives [rows, members, outputs] while it trains: each of its rows counts once a member, so that a mean
    over the rows is the mean of the members' losses.
    """
    if not isinstance(outputs, Tensor) or outputs.dim() != MEMBERS_DIMENSIONS:
        return outputs, labels
    return outputs.flatten(0, 1), labels.unsqueeze(1).expand(-1, outputs.shape[1]).flatten()


def predictions(logits: Float[Tensor, "rows outputs"], task: TaskName) -> Tensor:
    """Return probabilities ([rows] of class 1 for binary, [rows, classes] for multiclass) or [rows] standardised values."""
    if task == "binary":
        return logits.squeeze(1).sigmoid()
    return logits.softmax(1) if task == "multiclass" else logits.squeeze(1)
