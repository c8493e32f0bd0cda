"""Where a model is bad: its errors in slices of the rows by categories, by quantiles of numbers, by months of times."""

import calendar
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unbroken.charts.rows import HeldOutRows, month_of
from unbroken.charts.scoring import Scores
from unbroken.config import TaskName
from unbroken.data.kinds import KINDS
from unbroken.data.permutation import Index
from unbroken.features.encoder import FIRST_CODE, CategoryCodes, NumberScale

QUANTILES, FEW_VALUES, MOST_CATEGORIES, MOST_COLUMNS = 5, 6, 12, 500
FEWEST_ROWS = 30
"""What a slice of fewer rows shows is chance."""
SIGMAS = 1.96
MISSING_VALUE, UNSEEN_VALUE = "(missing)", "(unseen in training)"


@dataclass(frozen=True, kw_only=True)
class Slice:
    """How a model fares on the rows of a slice.

    Attributes:
        column: The column of the source that it is cut by.
        name: Which values it holds.
        rows: How many rows.
        loss: Their mean loss.
        margin: By which the mean loss of rows like these may differ by chance, in 95 of 100 cases.
        constant: The mean loss of the best constant guess for just these rows.
        actual: The mean label: the share of class 1 of two, or the mean value; None of several classes.
        predicted: The mean of what was predicted.
    """

    column: str
    name: str
    rows: int
    loss: float
    margin: float
    constant: float
    actual: float | None
    predicted: float | None


def slices_of(rows: HeldOutRows, scores: Scores) -> dict[str, list[Slice]]:
    """Return the slices by each column of the source that cuts the rows in two or more."""
    scales = [*rows.encoder.numbers, *rows.encoder.categories][:MOST_COLUMNS]
    slices = {scale.name: list(_slices(rows, scores, scale)) for scale in scales}
    return {name: parts for name, parts in slices.items() if len(parts) > 1}


def worst(slices: dict[str, list[Slice]], overall: float, most: int) -> list[Slice]:
    """Return the slices whose loss lies most surely above that of all rows, the worst first."""
    parts = [part for column in slices.values() for part in column if part.loss - part.margin > overall]
    return sorted(parts, key=lambda part: overall - part.loss + part.margin)[:most]


def _slices(rows: HeldOutRows, scores: Scores, scale: NumberScale | CategoryCodes) -> Iterator[Slice]:
    names, groups = _by_code(rows, scale) if isinstance(scale, CategoryCodes) else _by_value(rows, scale)
    for index, name in enumerate(names):
        chosen = np.flatnonzero(groups == index)
        if len(chosen) >= FEWEST_ROWS:
            yield _slice(scale.name, name, scores, chosen, rows.encoder.schema.task)


def _slice(column: str, name: str, scores: Scores, chosen: Index, task: TaskName) -> Slice:
    losses, labels, predicted = scores.losses[chosen], scores.labels[chosen], scores.predicted[chosen]
    several = task == "multiclass"
    return Slice(
        column=column,
        name=name,
        rows=len(chosen),
        loss=float(losses.mean()),
        margin=float(SIGMAS * losses.std(ddof=1) / np.sqrt(len(losses))),
        constant=_constant(labels, task),
        actual=None if several else float(labels.mean()),
        predicted=None if several else float(predicted.mean()),
    )


def _constant(labels: NDArray[Any], task: TaskName) -> float:
    """Return the mean loss of the best constant guess: the entropy of the classes, or the mean distance from the median."""
    if task == "regression":
        return float(np.abs(labels - np.median(labels)).mean())
    shares = np.unique(labels, return_counts=True)[1] / len(labels)
    return float(-(shares * np.log(shares)).sum())


def _by_code(rows: HeldOutRows, codes: CategoryCodes) -> tuple[list[str], Index]:
    """Return the most frequent categories, and the others as one."""
    column = rows.codes[:, rows.encoder.features.category_names.index(codes.name)]
    counts = np.bincount(column, minlength=FIRST_CODE + len(codes.values))
    names = [UNSEEN_VALUE, MISSING_VALUE, *codes.values]
    order = [int(code) for code in np.argsort(-counts, kind="stable") if counts[code]]
    shown, others = order[:MOST_CATEGORIES], order[MOST_CATEGORIES:]
    groups = np.full(len(counts), -1)
    groups[shown] = np.arange(len(shown))
    groups[others] = len(shown)
    rest = [f"({len(others)} others)"] if others else []
    return [names[code] for code in shown] + rest, groups[column]


def _by_value(rows: HeldOutRows, scale: NumberScale) -> tuple[list[str], Index]:
    missing = rows.missing(scale)
    if month := month_of(scale):
        names, groups = [*calendar.month_name[1:]], rows.calendar(scale, month) - 1
    else:
        names, groups = _by_quantile(rows.values(scale), scale, missing)
    return [*names, MISSING_VALUE], np.where(missing, len(names), groups)


def _by_quantile(values: NDArray[Any], scale: NumberScale, missing: NDArray[np.bool_]) -> tuple[list[str], Index]:
    present = values[~missing].astype(np.float32)
    if not len(present):
        return [], np.zeros(len(values), np.int64)
    distinct = np.unique(present)
    if len(distinct) <= FEW_VALUES:
        names = [_value(value, scale) for value in distinct]
        return names, np.searchsorted(distinct, values.astype(np.float32))
    edges = np.unique(np.quantile(present, np.linspace(0, 1, QUANTILES + 1), method="nearest"))
    groups = np.clip(np.searchsorted(edges, values.astype(np.float32), side="right") - 1, 0, len(edges) - 2)
    return [f"{_value(low, scale)} to {_value(high, scale)}" for low, high in pairwise(edges)], groups


def _value(value: float, scale: NumberScale) -> str:
    if scale.kind == "boolean":
        return "true" if value > 0.5 else "false"
    unit = "" if KINDS[scale.kind].name == "number" else " s"
    return f"{value:.4g}{unit}"
