"""Rows as tensors: the model's inputs and the label."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float, Int
from torch import Tensor

from unbroken.batches.order import Window
from unbroken.data.dataset import Dataset
from unbroken.data.parquet import read_dataset
from unbroken.features.spec import FeatureSpec

ALIGNMENT = 64
"""Bytes at whose multiples torch puts new memory; MKL rounds a product by where its inputs lie."""

Take = Callable[[Int[Tensor, " index"]], "Rows"]
"""Returns a copy of the rows at some positions of a window."""


@runtime_checkable
class Shufflable(Protocol):
    """Rows, wherever they are kept."""

    def __len__(self) -> int: ...
    def open_windows(self, windows: Iterator[Window], limit: int, /) -> Iterator[tuple[Window, Take]]:
        """Yield windows of at most `limit` rows, each with what takes rows from it until the next one is asked for."""
        ...


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows as the model's inputs and the label: class codes (int64, float32 if binary) or standardised float32 values."""

    numbers: Float[Tensor, "rows numbers"]
    codes: Int[Tensor, "rows categories"]
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: Int[Tensor, " index"]) -> "Rows":
        """Return a copy of some rows in the order of the index."""
        return Rows(*(part.index_select(0, index) for part in self._parts()))

    def slice(self, start: int, stop: int) -> "Rows":
        """Return a view of the rows start .. stop-1."""
        return Rows(*(part[start:stop] for part in self._parts()))

    def split(self, size: int) -> "Iterator[Rows]":
        """Yield views of so many rows each, in order; the last one may have fewer."""
        return map(Rows, *(part.split(size) for part in self._parts()))

    def aligned_split(self, size: int) -> "Iterator[Rows]":
        """Yield so many rows each, in order, whose memory is aligned: views where that is so, else copies."""
        if all(
            part.data_ptr() % ALIGNMENT == part.stride(0) * part.itemsize * size % ALIGNMENT == 0
            for part in self._parts()
        ):
            return self.split(size)
        return (rows.aligned() for rows in self.split(size))

    def aligned(self) -> "Rows":
        """Return the rows in aligned memory, copied where they lie elsewhere."""
        return Rows(*map(_aligned, self._parts()))

    def open_windows(self, windows: Iterator[Window], _: int, /) -> Iterator[tuple[Window, Take]]:
        """Yield each window with what takes rows from it by their positions."""
        for window in windows:
            yield window, partial(self._take_from_window, window)

    def _take_from_window(self, window: Window, positions: Int[Tensor, " index"]) -> "Rows":
        index = torch.from_numpy(window.rows(positions.numpy()))
        return self.take(index.to(self.labels.device))

    def to(self, device: torch.device) -> "Rows":
        """Return the rows on a device."""
        return Rows(*(part.to(device) for part in self._parts()))

    @classmethod
    def cat(cls, rows: "list[Rows]") -> "Rows":
        """Return rows one after the other."""
        rows = [part for part in rows if len(part)] or rows[:1]
        return rows[0] if len(rows) == 1 else cls(*map(torch.cat, zip(*(part._parts() for part in rows), strict=True)))

    @property
    def device(self) -> torch.device:
        """Where they are."""
        return self.labels.device

    def _parts(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.numbers, self.codes, self.labels


def read_rows(dataset: Dataset, features: FeatureSpec) -> Rows:
    """Read a preprocessed dataset into memory; raise DataError if it is not the one that was written."""
    rows = dataset.rows
    numbers = np.empty((rows, len(features.numbers)), np.float32)
    codes = np.empty((rows, len(features.categories)), np.int64)
    labels = np.empty(rows, np.int64 if features.task == "multiclass" else np.float32)
    start = 0
    for batch in read_dataset(dataset, features.columns):
        stop = start + batch.num_rows
        to_matrix(batch, features.numbers, numbers[start:stop])
        to_matrix(batch, features.category_names, codes[start:stop])
        labels[start:stop] = batch.column(features.label).to_numpy()
        start = stop
    return Rows(torch.from_numpy(numbers), torch.from_numpy(codes), torch.from_numpy(labels))


def to_matrix(batch: pa.RecordBatch, names: Sequence[str], matrix: np.ndarray) -> np.ndarray:
    """Write columns without missing values into those of a matrix, which is returned.

    Args:
        batch: Rows as the model's inputs.
        names: The columns, in the order of the matrix.
        matrix: [rows, names], of any number type; the values are cast to it.
    """
    for index, name in enumerate(names):
        matrix[:, index] = batch.column(name).to_numpy(zero_copy_only=False)
    return matrix


def _aligned(part: Tensor) -> Tensor:
    return part.clone() if part.data_ptr() % ALIGNMENT else part
