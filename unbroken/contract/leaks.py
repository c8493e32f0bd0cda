"""Columns that predict the label almost perfectly by themselves: often a copy of it, or known only after it.

Each column is cut into bins on one half of some rows: its values where they are few, else quantiles. What the label is on
average in a bin then predicts the other half, so that a column whose values hardly come twice does not look like a leak.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from unbroken.data.kinds import Float64, as_floats, as_labels, as_texts
from unbroken.data.permutation import Index, Permutation, derive
from unbroken.data.schema import Column, Schema
from unbroken.errors import DataError

LEAST_ROWS = 200
"""Of fewer, one column can separate the rows by chance."""
MOST_ROWS = 50_000
BINS = 256
LEAST_OF_A_CLASS = 10
AUROC, SKILL, R2 = "AUROC", "share of the errors of a constant guess that it avoids", "R2"
SUSPECT = {AUROC: 0.995, SKILL: 0.99, R2: 0.99}
"""From which value on, of 1, a column alone is too good."""
Codes = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Leak:
    """A column that predicts the label by itself: how well, by what measure, and on how many rows it was seen."""

    column: str
    measure: str
    value: float
    rows: int

    @property
    def evidence(self) -> str:
        """How well it does, for a person."""
        return f"{self.measure} {self.value:.4f}"


def suspicion(column: str, evidence: str) -> str:
    """Return what a person is told of a column that predicts the label by itself, and what to do about it."""
    return (
        f"column {column!r} alone predicts the label almost perfectly: {evidence}. If it is not known before the label is, "
        f"leave it out: data.exclude names it"
    )


def find_leaks(head: pa.Table, schema: Schema) -> list[Leak]:
    """Return the features that are suspect by some of the first rows.

    Args:
        head: The first rows, features and label, each with a label.
        schema: What is a feature, and what is predicted.
    """
    chosen = Permutation(len(head), derive(0, "leaks")).at(0, min(len(head), MOST_ROWS))
    if len(chosen) < LEAST_ROWS:
        return []
    rows, half = head.take(pa.array(chosen)), len(chosen) // 2
    label = _label(rows.column(schema.label.name), schema)
    if label is None:
        return []
    leaks = [_judged(column, rows.column(column.name), label, half, schema) for column in schema.features]
    return [leak for leak in leaks if leak is not None and leak.value >= SUSPECT[leak.measure]]


def _judged(column: Column, values: pa.ChunkedArray, label: Float64, half: int, schema: Schema) -> Leak | None:
    try:
        bins = _bins(column, values, half)
    except DataError:
        return None  # a value that fits no column is told of where it is read to train
    fitted, tested = slice(None, half), slice(half, None)
    if schema.task == "regression":
        measure, value = R2, _r2(_means(bins[fitted], label[fitted], int(bins.max()) + 1)[bins[tested]], label[tested])
        if not column.coded:
            value = max(value, _smooth(as_floats(_array(values), column.name, column.kind, _subject), label, half))
    elif schema.task == "binary":
        shares = _means(bins[fitted], label[fitted], int(bins.max()) + 1)
        measure, value = AUROC, _auroc(shares[bins[tested]], label[tested])
    else:
        measure, value = SKILL, _skill(bins, label.astype(np.int64), half)
    return Leak(column=column.name, measure=measure, value=value, rows=len(label))


def _label(values: pa.ChunkedArray, schema: Schema) -> Float64 | None:
    """Return class codes or values; None where these rows have too few of the classes to judge by."""
    name, array = schema.label.name, _array(values)
    if not schema.classes:
        return as_floats(array, name, schema.label.kind, _subject)
    labels = as_labels(array, name, _subject)
    codes = pc.index_in(labels, value_set=pa.array(schema.classes).cast(labels.type)).to_numpy().astype(np.float64)
    counts = np.sort(np.bincount(codes.astype(np.int64)))[::-1]
    return codes if len(counts) > 1 and counts[1] >= LEAST_OF_A_CLASS else None


def _bins(column: Column, values: pa.ChunkedArray, half: int) -> Codes:
    """Return the bin of each row; the last bin is that of missing values and of texts that the first half lacks."""
    if column.coded:
        texts = as_texts(_array(values), column.name, _subject)
        known = pc.unique(texts.slice(0, half)).drop_null()
        return pc.fill_null(pc.index_in(texts, value_set=known), len(known)).to_numpy().astype(np.int64)
    floats = as_floats(_array(values), column.name, column.kind, _subject)
    missing = np.isnan(floats)
    edges = np.unique(floats[:half][~missing[:half]])
    if len(edges) > BINS:
        edges = np.unique(np.quantile(floats[:half][~missing[:half]], np.linspace(0, 1, BINS), method="nearest"))
    return np.where(missing, len(edges) + 1, np.searchsorted(edges, floats, side="right"))


def _means(bins: Codes, label: Float64, count: int) -> Float64:
    """Return the mean label of each bin; that of all where a bin has no row."""
    rows = np.bincount(bins, minlength=count)
    with np.errstate(invalid="ignore"):
        means = np.bincount(bins, weights=label, minlength=count) / rows
    return np.where(rows > 0, means, label.mean())


def _auroc(scores: Float64, label: Float64) -> float:
    """Return the area under the ROC curve, by ranks (Mann and Whitney, 1947)."""
    _, ranks, counts = np.unique(scores, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - (counts - 1) / 2
    positive = label == 1
    ones = int(positive.sum())
    if not 0 < ones < len(label):
        return 0.5
    return float((middle[ranks][positive].sum() - ones * (ones + 1) / 2) / (ones * (len(label) - ones)))


def _skill(bins: Codes, label: Index, half: int) -> float:
    """Return which share of the errors of the most frequent class is avoided by that of each bin."""
    count, classes = int(bins.max()) + 1, int(label.max()) + 1
    table = np.bincount(bins[:half] * classes + label[:half], minlength=count * classes).reshape(count, classes)
    usual = int(np.bincount(label[:half], minlength=classes).argmax())
    best = np.where(table.sum(1) > 0, table.argmax(1), usual)
    wrong, wrong_by_bin = (label[half:] != usual).mean(), (label[half:] != best[bins[half:]]).mean()
    return float(1 - wrong_by_bin / wrong) if wrong else 0.0


def _r2(predicted: Float64, label: Float64) -> float:
    spread = ((label - label.mean()) ** 2).sum()
    return float(1 - ((label - predicted) ** 2).sum() / spread) if spread > 0 else 0.0


def _smooth(values: Float64, label: Float64, half: int) -> float:
    """Return how well lines predict, one through all rows or one between neighbours: bins are coarse where values are rare.

    Only where no value is missing.
    """
    if not np.isfinite(values.sum()) or values[:half].min() == values[:half].max():
        return 0.0
    unique, bins = np.unique(values[:half], return_inverse=True)
    between = np.interp(values[half:], unique, _means(bins, label[:half], len(unique)))
    centred, scale = values - values[:half].mean(), values[:half].std()
    slope = (centred[:half] / scale * (label[:half] - label[:half].mean())).mean() if 0 < scale < np.inf else 0.0
    straight = label[:half].mean() + slope * (centred[half:] / (scale or 1.0))
    return max(_r2(between, label[half:]), _r2(straight, label[half:]))


def _array(values: pa.ChunkedArray) -> pa.Array:
    return values.combine_chunks()


def _subject(name: str, row: int) -> str:
    return f"column {name}, row {row}"
