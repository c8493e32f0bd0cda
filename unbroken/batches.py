"""Rows as tensors, and their order in each epoch: any step of any epoch is reached without replaying what came before."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float, Int
from torch import Tensor

from unbroken.artifact import Dataset
from unbroken.features import Features
from unbroken.randomness import SMALL, Permutation, derive
from unbroken.table import read_dataset


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows as the model's inputs and the label: class codes (int64, float32 if binary) or standardised float32 values."""

    numbers: Float[Tensor, "rows numbers"]
    codes: Int[Tensor, "rows categories"]
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: Int[Tensor, " taken"]) -> "Rows":
        """Return a copy of some rows in the order of the index."""
        return Rows(*(part.index_select(0, index) for part in self._parts()))

    def slice(self, start: int, stop: int) -> "Rows":
        """Return a view of the rows start .. stop-1."""
        return Rows(*(part[start:stop] for part in self._parts()))

    def split(self, size: int) -> "Iterator[Rows]":
        """Yield views of so many rows each, in order; the last one may have fewer."""
        return map(Rows, *(part.split(size) for part in self._parts()))

    def to(self, device: torch.device) -> "Rows":
        """Return the rows on a device."""
        return Rows(*(part.to(device) for part in self._parts()))

    def _parts(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.numbers, self.codes, self.labels


def read_rows(dataset: Dataset, features: Features) -> Rows:
    """Read a preprocessed dataset into memory."""
    rows, names = dataset.rows, [category.name for category in features.categories]
    numbers = np.empty((rows, len(features.numbers)), np.float32)
    codes = np.empty((rows, len(names)), np.int64)
    labels = np.empty(rows, np.int64 if features.task == "multiclass" else np.float32)
    start = 0
    for batch in read_dataset(dataset, features.columns):
        stop = start + batch.num_rows
        _fill(numbers[start:stop], batch, features.numbers)
        _fill(codes[start:stop], batch, names)
        labels[start:stop] = batch.column(features.label).to_numpy()
        start = stop
    return Rows(torch.from_numpy(numbers), torch.from_numpy(codes), torch.from_numpy(labels))


def epoch_batches(
    rows: Rows,
    batch_size: int,
    seed: int,
    epoch: int,
    first_step: int = 0,
    prepare: Callable[[Rows], Rows] = lambda block: block,
) -> Iterator[Rows]:
    """Yield the batches of an epoch in its order, from any step on; the last one may be smaller.

    Rows are gathered in blocks of many batches, since gathering costs per call more than per row; `prepare` is applied
    to each block, and must treat each row alone.
    """
    order = Permutation(len(rows), derive(seed, "order", epoch))
    block = max(1, SMALL // batch_size) * batch_size
    for start in range(first_step * batch_size, len(rows), block):
        index = torch.from_numpy(order.at(start, min(start + block, len(rows))))
        yield from prepare(rows.take(index.to(rows.labels.device))).split(batch_size)


def steps_per_epoch(rows: int, batch_size: int) -> int:
    """Return how many batches an epoch has."""
    return -(-rows // batch_size)


def _fill(target: np.ndarray, batch: pa.RecordBatch, names: tuple[str, ...] | list[str]) -> None:
    for place, name in enumerate(names):
        target[:, place] = batch.column(name).to_numpy()
