"""Rows that test a model, as it sees them and in their own units: all of them, or a sample of fixed seed where they are many."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from unbroken.batches.rows import to_matrix
from unbroken.data.dataset import Slice
from unbroken.data.kinds import KINDS, CalendarPart
from unbroken.data.parquet import read_slices
from unbroken.data.permutation import Index, Permutation, derive
from unbroken.data.sources import SourceFile
from unbroken.features.encoder import MISSING, MISSING_SUFFIX, CategoryCodes, Encoder, NumberScale

MOST_ROWS, MOST_CELLS, FEWEST_ROWS = 100_000, 20_000_000, 1000
"""A report looks at so many rows, at fewer of a table that is very wide, but not at fewer than the last."""
SEED = 0
Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True, kw_only=True)
class HeldOutRows:
    """Preprocessed rows that test.

    Attributes:
        encoder: What preprocessed them.
        total: The number of all rows that test.
        numbers: float32 [rows, numbers] in 0 .. 1.
        codes: int64 [rows, categories].
        labels: [rows] class codes, or standardised values.
    """

    encoder: Encoder
    total: int
    numbers: Floats
    codes: Index
    labels: Floats

    def __len__(self) -> int:
        return len(self.labels)

    def positions(self, scale: NumberScale) -> list[int]:
        """Return which of the numbers stem from a column of the source."""
        names = {name: position for position, name in enumerate(self.encoder.features.numbers)}
        return [names[name] for name in scale.names()]

    def values(self, scale: NumberScale) -> Floats:
        """Return a column of the source in its own unit, times in seconds; NaN where a value is missing."""
        scaled = self.numbers[:, self.positions(scale)[0]].astype(np.float64)
        return np.where(self.missing(scale), np.nan, scaled * (scale.high - scale.low) + scale.low)

    def missing(self, scale: NumberScale | CategoryCodes) -> NDArray[np.bool_]:
        """Return which rows have no value in a column of the source."""
        if isinstance(scale, CategoryCodes):
            return self.codes[:, self.encoder.features.category_names.index(scale.name)] == MISSING
        if not scale.indicator:
            return np.zeros(len(self), bool)
        return self.numbers[:, self.encoder.features.numbers.index(scale.name + MISSING_SUFFIX)] > 0.5

    def calendar(self, scale: NumberScale, part: CalendarPart) -> Index:
        """Return a part of the calendar of each time in a column, such as the month."""
        fractions = self.numbers[:, self.encoder.features.numbers.index(f"{scale.name}__{part.name}")]
        return np.rint(fractions * (part.last - part.first) + part.first).astype(np.int64)

    @classmethod
    def read(cls, path: Path, encoder: Encoder) -> "HeldOutRows":
        """Read rows from a preprocessed dataset in one pass."""
        total, columns = pq.read_metadata(path).num_rows, encoder.features.columns
        chosen = chosen_rows(total, len(columns))
        parts = chosen_parts(read_slices([SourceFile(url=str(path))], columns), chosen)
        return cls.of_batches((part.rows for part in parts), encoder, total, len(chosen))

    @classmethod
    def of_batches(cls, batches: Iterable[pa.RecordBatch], encoder: Encoder, total: int, wanted: int) -> "HeldOutRows":
        """Return preprocessed rows that come in batches, so many of them of a total of so many."""
        features = encoder.features
        numbers = np.empty((wanted, len(features.numbers)), np.float32)
        codes = np.empty((wanted, len(features.categories)), np.int64)
        labels = np.empty(wanted, np.float64)
        start = 0
        for batch in batches:
            stop = start + batch.num_rows
            to_matrix(batch, features.numbers, numbers[start:stop])
            to_matrix(batch, features.category_names, codes[start:stop])
            labels[start:stop] = batch.column(features.label).to_numpy()
            start = stop
        return cls(encoder=encoder, total=total, numbers=numbers, codes=codes, labels=labels)


def chosen_rows(total: int, columns: int) -> Index:
    """Return the numbers of the rows that a report looks at, in their order."""
    wanted = min(total, MOST_ROWS, max(FEWEST_ROWS, MOST_CELLS // columns))
    return np.sort(Permutation(total, derive(SEED, "report")).at(0, wanted))


def chosen_parts(parts: Iterable[Slice], chosen: Index) -> Iterator[Slice]:
    """Yield the chosen rows of all that come, some at a time, in their order."""
    start = 0
    for part in parts:
        first, last = np.searchsorted(chosen, [start, start + len(part)])
        indices = pa.array(chosen[first:last] - start)
        yield Slice(part.file, part.start, part.rows.take(indices), indices)
        start += len(part)


def month_of(scale: NumberScale) -> CalendarPart | None:
    """Return the month of a column of times; None of another column."""
    return next((part for part in KINDS[scale.kind].parts if part.name == "month"), None)
