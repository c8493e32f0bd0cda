"""Rows as tensors, and their order in each epoch: any step of any epoch is reached without replaying what came before."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float, Int
from torch import Tensor

from unbroken.artifact import Dataset
from unbroken.features import Features
from unbroken.order import Window, windows
from unbroken.randomness import SMALL
from unbroken.table import read_dataset

Take = Callable[[Int[Tensor, " taken"]], "Rows"]
"""Returns a copy of the rows at some places of a window."""


class Shufflable(Protocol):
    """Rows, wherever they are kept."""

    def __len__(self) -> int: ...
    def shuffled(self, windows: Iterator[Window], most: int, /) -> Iterator[tuple[Window, Take]]:
        """Yield windows of at most so many rows, each with what takes rows from it until the next one is asked for."""
        ...


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

    def shuffled(self, windows: Iterator[Window], _: int, /) -> Iterator[tuple[Window, Take]]:
        """Yield each window with what takes rows from it by their places."""
        for window in windows:
            yield window, partial(self._take_from, window)

    def _take_from(self, window: Window, places: Int[Tensor, " taken"]) -> "Rows":
        index = torch.from_numpy(window.rows(places.numpy()))
        return self.take(index.to(self.labels.device))

    def to(self, device: torch.device) -> "Rows":
        """Return the rows on a device."""
        return Rows(*(part.to(device) for part in self._parts()))

    @classmethod
    def cat(cls, rows: "list[Rows]") -> "Rows":
        """Return rows one after the other."""
        rows = [some for some in rows if len(some)] or rows[:1]
        return rows[0] if len(rows) == 1 else cls(*map(torch.cat, zip(*(some._parts() for some in rows), strict=True)))

    @property
    def device(self) -> torch.device:
        """Where they are."""
        return self.labels.device

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
    rows: Shufflable,
    batch_size: int,
    seed: int,
    epoch: int,
    first_step: int = 0,
    prepare: Callable[[Rows], Rows] = lambda block: block,
    shuffle_rows: int = 1 << 19,
) -> Iterator[Rows]:
    """Yield the batches of an epoch in its order, from any step on; the last one may be smaller.

    Rows are gathered in blocks of many batches, since gathering costs per call more than per row; `prepare` is applied
    to each block, and must treat each row alone.
    """
    position = first_step * batch_size
    block = max(1, SMALL // batch_size) * batch_size
    carried: list[Rows] = []
    for window, take in rows.shuffled(windows(len(rows), shuffle_rows, seed, epoch, position), shuffle_rows):
        for start in range(max(0, position - window.start), len(window), block):
            stop = min(start + block, len(window))
            gathered = Rows.cat([*carried, take(torch.from_numpy(window.order.at(start, stop)))])
            # A batch that a window cuts off is completed by the next one.
            whole = len(gathered) if window.start + stop == len(rows) else len(gathered) // batch_size * batch_size
            carried = [gathered.slice(whole, len(gathered))]
            if whole:
                yield from prepare(gathered.slice(0, whole)).split(batch_size)


def steps_per_epoch(rows: int, batch_size: int) -> int:
    """Return how many batches an epoch has."""
    return -(-rows // batch_size)


def _fill(target: np.ndarray, batch: pa.RecordBatch, names: tuple[str, ...] | list[str]) -> None:
    for place, name in enumerate(names):
        target[:, place] = batch.column(name).to_numpy()
