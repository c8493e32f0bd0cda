"""Rows that do not fit into memory, as a file of records of one size, read in large pieces."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int, Int32
from torch import Tensor

from unbroken.batches.order import Window
from unbroken.batches.rows import Rows, Take, to_matrix
from unbroken.config.training import BLOCK_ROWS
from unbroken.data.dataset import Dataset
from unbroken.data.parquet import read_dataset
from unbroken.data.prefetch import prefetch
from unbroken.errors import DataError
from unbroken.features.spec import FeatureSpec
from unbroken.storage import atomic, own_files
from unbroken.storage.artifact import Artifact, from_json, to_json

Records = Int32[Tensor, "rows cells"]

CELL = 4
"""Bytes of a number (float32), a code (int32) or a label (float32, or int32 for several classes)."""


@dataclass(frozen=True, kw_only=True)
class _Provenance(Artifact):
    """The file, and the digest of the dataset that it was made of."""

    source: str


@dataclass(frozen=True, slots=True)
class RowFile:
    """The rows of a preprocessed dataset on disk: to read like `Rows`."""

    path: Path
    rows: int
    features: FeatureSpec
    device: torch.device

    def __len__(self) -> int:
        return self.rows

    def slice(self, start: int, stop: int) -> Rows:
        """Return the rows start .. stop-1."""
        stop = min(stop, self.rows)
        records = _records(stop - start, self.features)
        with open(self.path, "rb", buffering=0) as file:
            _read(file.fileno(), records, start, self.path)
        return self.unpack(torch.from_numpy(records))

    def split(self, size: int) -> Iterator[Rows]:
        """Yield so many rows each, in order; the last one may have fewer."""
        yield from prefetch(self.slice(start, start + size) for start in range(0, self.rows, size))

    def open_windows(self, windows: Iterator[Window], limit: int, /) -> Iterator[tuple[Window, Take]]:
        """Yield windows of at most `limit` rows, each with what takes rows from it, while the next one is being read.

        Nothing can be taken from a window once the next one was asked for.
        """
        for window, records in prefetch(self._read_windows(windows, limit), ahead=1):
            yield window, partial(self._take_from_window, records)

    def _take_from_window(self, records: Records, positions: Int[Tensor, " index"]) -> Rows:
        return self.unpack(records.index_select(0, positions))

    def unpack(self, records: Records) -> Rows:
        """Return records as the model's inputs and labels."""
        numbers, codes = len(self.features.numbers), len(self.features.categories)
        labels = records[:, -1]
        return Rows(
            records[:, :numbers].view(torch.float32).contiguous(),
            records[:, numbers : numbers + codes].long(),
            labels.long() if self.features.task == "multiclass" else labels.view(torch.float32).contiguous(),
        ).to(self.device)

    def _read_windows(self, windows: Iterator[Window], limit: int) -> Iterator[tuple[Window, Records]]:
        # While one window is used, the next one is read: two are enough.
        buffers = [_records(min(limit, self.rows), self.features) for _ in range(2)]
        with open(self.path, "rb", buffering=0) as file:
            for number, window in enumerate(windows):
                records = buffers[number % 2][: len(window)]
                for first, last in _runs(window.blocks):
                    position = first * BLOCK_ROWS
                    start = int(window.blocks[first]) * BLOCK_ROWS
                    _read(file.fileno(), records[position : (last + 1) * BLOCK_ROWS], start, self.path)
                yield window, torch.from_numpy(records)


def open_row_file(path: Path, dataset: Dataset, features: FeatureSpec, device: torch.device) -> RowFile:
    """Return a dataset as a row file, made anew unless a whole one of the same dataset is there.

    Args:
        path: The row file; what it was made of stands beside it, as `.json`.
        dataset: Preprocessed rows.
        features: Their columns.
        device: Where its rows go when they are read.

    Raises:
        DataError: The dataset is not the one that was written.
    """
    provenance_path = path.with_suffix(".json")
    if not _is_current(path, provenance_path, dataset):
        with atomic.replacing(path, kind=atomic.BLAKE3) as file:
            for records in prefetch(_to_records(dataset, features)):
                file.write(records.data.cast("B"))
        provenance = _Provenance(path=str(path), digest=file.digest, source=dataset.digest)
        atomic.write(provenance_path, to_json(provenance))
    return RowFile(path, dataset.rows, features, device)


def _is_current(path: Path, provenance_path: Path, dataset: Dataset) -> bool:
    if not (path.is_file() and provenance_path.is_file()):
        return False
    try:
        provenance = from_json(_Provenance, own_files.read(provenance_path), str(provenance_path))
    except DataError:
        return False
    return provenance.source == dataset.digest and provenance.digest == atomic.digest_as(path, provenance.digest)


def _to_records(dataset: Dataset, features: FeatureSpec) -> Iterator[np.ndarray]:
    for batch in read_dataset(dataset, features.columns):
        records = _records(batch.num_rows, features)
        cells, numbers = records.view(np.float32), len(features.numbers)
        to_matrix(batch, features.numbers, cells[:, :numbers])
        to_matrix(batch, features.category_names, records[:, numbers:-1])
        to_matrix(batch, [features.label], (records if features.task == "multiclass" else cells)[:, -1:])
        yield records


def _records(rows: int, features: FeatureSpec) -> np.ndarray:
    return np.empty((rows, len(features.columns)), np.int32)


def _runs(blocks: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield the first and last positions of blocks that stand one after the other in the file."""
    ends = np.flatnonzero(np.diff(blocks, append=-1) != 1)
    first = 0
    for last in ends.tolist():
        yield first, last
        first = last + 1


def _read(file: int, records: np.ndarray, start: int, path: Path) -> None:
    """Fill an array with the records from a row on."""
    target = records.data.cast("B")
    offset = start * records.shape[1] * CELL
    while target:
        if not (count := os.preadv(file, [target], offset)):
            raise DataError(f"{path}: ends at byte {offset}; expected {len(target)} more. Run the same command again")
        target, offset = target[count:], offset + count
