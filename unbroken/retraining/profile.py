"""Profile the columns of rows: the statistics that drift is measured by."""

import math
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pyarrow.compute as pc

from unbroken.data.dataset import Dataset, Slice
from unbroken.data.kinds import KINDS, Float64, as_floats, as_texts
from unbroken.data.parquet import read_slices
from unbroken.data.permutation import Permutation, derive
from unbroken.data.schema import Column, Schema
from unbroken.errors import DataError
from unbroken.features.moments import Moments

BINS = 20

SAMPLE_ROWS = 1 << 16
"""Rows, chosen at random, whose quantiles are the edges of the bins."""


@dataclass(frozen=True, kw_only=True)
class ColumnProfile:
    """The statistics of one column.

    Attributes:
        name: The column's name.
        kind: Its kind; `category` for a label with classes too.
        missing: The share of missing values, 0 .. 1, as all shares.
        low: The least value; none of these numbers for a category, or without values.
        high: The greatest value.
        mean: The mean value.
        deviation: The standard deviation.
        outside: The share of values beyond `low` or `high` of the reference profile, if there is one.
        edges: The inner edges of a number's bins.
        shares: The share of the values in each bin.
        values: The share of each value of a category.
    """

    name: str
    kind: str
    missing: float
    low: float | None = None
    high: float | None = None
    mean: float | None = None
    deviation: float | None = None
    outside: float = 0.0
    edges: tuple[float, ...] = ()
    shares: tuple[float, ...] = ()
    values: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        numbers = [*self.edges, *self.shares, *self.values.values(), self.missing, self.outside]
        numbers += [number for number in (self.low, self.high, self.mean, self.deviation) if number is not None]
        fits = not self.shares or len(self.shares) == len(self.edges) + 1
        if not fits or list(self.edges) != sorted(self.edges) or not all(map(math.isfinite, numbers)):
            raise ValueError(
                f"{self.name}: found {len(self.shares)} shares between {len(self.edges)} edges, or no numbers"
            )


@dataclass(frozen=True, kw_only=True)
class Profile:
    """The columns of some rows; the last one is the label, a category if it has classes."""

    rows: int
    columns: tuple[ColumnProfile, ...]


def profile_rows(datasets: list[Dataset], schema: Schema, reference: Profile | None = None) -> Profile:
    """Profile the columns of a schema.

    Args:
        datasets: The rows.
        schema: The columns.
        reference: A profile whose bins and ranges are taken; without one, a pass of its own finds the bins.

    Raises:
        DataError: There are no rows, or a value is infinite.
    """
    columns = [*schema.features, schema.label]
    reference_columns = {column.name: column for column in reference.columns} if reference else {}
    edges = {} if reference else _bin_edges(datasets, schema)
    profilers = []
    for column in columns:
        coded = column.coded or (column is schema.label and bool(schema.classes))
        reference_column = reference_columns.get(column.name)
        bins = reference_column.edges if reference_column else edges.get(column.name, ())
        profilers.append(_CategoryProfiler(column) if coded else _NumberProfiler(column, bins, reference_column))
    rows = 0
    for part in read_slices([dataset.file for dataset in datasets], [column.name for column in columns]):
        rows += len(part)
        for profiler in profilers:
            profiler.add(part)
    if not rows:
        raise DataError("found no rows to profile")
    return Profile(rows=rows, columns=tuple(profiler.profile(rows) for profiler in profilers))


def _bin_edges(datasets: list[Dataset], schema: Schema) -> dict[str, tuple[float, ...]]:
    """Return the inner edges of bins with equal shares of a sample of the rows."""
    numbers = [column for column in (*schema.features, schema.label) if _has_bins(column)]
    order = Permutation(max(1, sum(dataset.rows for dataset in datasets)), derive(0, "profile"))
    samples: dict[str, list[Float64]] = {column.name: [] for column in numbers}
    start = 0
    for part in (
        read_slices([dataset.file for dataset in datasets], [column.name for column in numbers]) if numbers else ()
    ):
        sampled = order.of(np.arange(start, start + len(part))) < SAMPLE_ROWS
        for column in numbers:
            values = as_floats(part.column(column.name), column.name, column.kind, part.subject)[sampled]
            samples[column.name].append(values[~np.isnan(values)])
        start += len(part)
    joined = {name: np.concatenate(parts) for name, parts in samples.items()}
    inner = np.linspace(0, 1, BINS + 1)[1:-1]
    return {
        name: tuple(np.unique(np.quantile(values, inner)).tolist()) for name, values in joined.items() if len(values)
    }


def _has_bins(column: Column) -> bool:
    return not (column.coded or KINDS[column.kind].instant)


@dataclass
class _NumberProfiler:
    column: Column
    edges: tuple[float, ...]
    reference: ColumnProfile | None
    counts: list[int] = field(default_factory=list)
    moments: Moments = field(default_factory=lambda: Moments(spread=True))
    outside: int = 0
    low: float = np.inf
    high: float = -np.inf

    def add(self, part: Slice) -> None:
        values = as_floats(part.column(self.column.name), self.column.name, self.column.kind, part.subject)
        values = values[~np.isnan(values)]
        bins = np.searchsorted(self.edges, values, side="right")
        counts = np.bincount(bins, minlength=len(self.edges) + 1)
        self.counts = (counts + np.array(self.counts or [0])).tolist()
        self.moments.add(values)
        self.low, self.high = values.min(initial=self.low), values.max(initial=self.high)
        reference = self.reference
        if reference and reference.low is not None and reference.high is not None:
            self.outside += int(((values < reference.low) | (values > reference.high)).sum())

    def profile(self, rows: int) -> ColumnProfile:
        self.moments.fold()
        count, moving = self.moments.count, KINDS[self.column.kind].instant
        return ColumnProfile(
            name=self.column.name,
            kind=self.column.kind,
            missing=1 - count / rows,
            low=float(self.low) if count else None,
            high=float(self.high) if count else None,
            mean=self.moments.mean if count else None,
            deviation=(self.moments.squares / count) ** 0.5 if count else None,
            outside=0.0 if moving else self.outside / max(1, count),
            edges=self.edges,
            shares=tuple(number / count for number in self.counts) if count and not moving else (),
        )


@dataclass
class _CategoryProfiler:
    column: Column
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, part: Slice) -> None:
        texts = as_texts(part.column(self.column.name), self.column.name, part.subject)
        for entry in pc.value_counts(texts.drop_null()).to_pylist():
            self.counts[entry["values"]] += entry["counts"]

    def profile(self, rows: int) -> ColumnProfile:
        count = self.counts.total()
        values = {name: self.counts[name] / count for name in sorted(self.counts)}
        return ColumnProfile(name=self.column.name, kind="category", missing=1 - count / rows, values=values)
