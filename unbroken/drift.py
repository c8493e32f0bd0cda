"""Do new rows still look like those the champion was trained on? A profile of each column, and rules over two profiles.

PSI, the population stability index: the sum over bins of (p - q) ln(p / q) for shares p before and q now (Siddiqi,
"Credit Risk Scorecards", 2006). KS: the largest distance of the two cumulative distributions at the edges of the bins.
The bins of a number hold equal shares of the training rows; times have none, since they are meant to move on.
"""

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow.compute as pc

from unbroken import table
from unbroken.errors import DataError
from unbroken.randomness import Permutation, derive
from unbroken.retrain_config import ChecksConfig, Rule
from unbroken.scaler import TIMES, Float64, as_floats, as_texts
from unbroken.schema import Column, Schema
from unbroken.table import Slice, TableFile

log = logging.getLogger(__name__)

BINS = 20
SAMPLE_ROWS = 1 << 16
"""Rows, chosen at random, whose quantiles are the edges of the bins."""
SMALLEST_SHARE = 1e-4
"""Stands for a share of 0, which has no logarithm."""


@dataclass(frozen=True, kw_only=True)
class ColumnProfile:
    """One column: the share `missing`, then for a number its moments and bins, for a category the share of each value.

    `shares` are those of the bins between the `edges`; `outside` is the share beyond `low` or `high` of the profile that
    this one was made like.
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


@dataclass(frozen=True, kw_only=True)
class Profile:
    """The columns of some rows; the last one is the label, a category if it has classes."""

    rows: int
    columns: tuple[ColumnProfile, ...]


@dataclass(frozen=True, kw_only=True)
class Drift:
    """One column then and now."""

    column: str
    missing_before: float
    missing_now: float
    outside: float
    unseen: float
    psi: float | None
    ks: float | None


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A limit that was passed and what follows."""

    action: Rule
    rule: str
    column: str
    found: float
    limit: float

    def __str__(self) -> str:
        return f"{self.column}: {self.rule} {self.found:.3f}, expected at most {self.limit:g}"


def profile(files: list[TableFile], schema: Schema, like: Profile | None = None) -> Profile:
    """Profile the columns of a schema in one pass, in the bins and ranges of another profile or, in two, in bins of its own."""
    columns = [*schema.features, schema.label]
    before = {column.name: column for column in like.columns} if like else {}
    edges = {} if like else _edges(files, schema)
    parts = []
    for column in columns:
        coded = column.kind == "category" or (column is schema.label and bool(schema.classes))
        reference = before.get(column.name)
        bins = reference.edges if reference else edges.get(column.name, ())
        parts.append(_Categories(column) if coded else _Numbers(column, bins, reference))
    rows = 0
    for part in table.read(files, [column.name for column in columns]):
        rows += len(part)
        for fitting in parts:
            fitting.add(part)
    if not rows:
        raise DataError("found no rows to profile")
    return Profile(rows=rows, columns=tuple(fitting.profile(rows) for fitting in parts))


def compare(before: Profile, now: Profile) -> list[Drift]:
    """Return how far each column moved."""
    return [_drift(one, other) for one, other in zip(before.columns, now.columns, strict=True)]


def check(before: Profile, now: Profile, rules: ChecksConfig) -> list[Finding]:
    """Return every limit of a rule that is not ignored and was passed."""
    drifts = compare(before, now)
    return [
        Finding(action=action, rule=rule, column=column, found=found, limit=limit)
        for column, rule, action, found, limit in _measured(before, now, drifts, rules)
        if action != "ignore" and found > limit
    ]


def enforce(findings: list[Finding], subject: str) -> None:
    """Log every warning; raise DataError naming all that blocks."""
    for finding in findings:
        if finding.action == "warn":
            log.warning("%s: %s", subject, finding)
    if blocking := [str(finding) for finding in findings if finding.action == "block"]:
        raise DataError(f"{subject}: {'; '.join(blocking)}. Mend the data, or set the rule to warn if they are right")


def _measured(
    before: Profile, now: Profile, drifts: list[Drift], rules: ChecksConfig
) -> Iterator[tuple[str, str, Rule, float, float]]:
    for drift in drifts[:-1]:
        yield (
            drift.column,
            "share missing rose by",
            rules.nulls,
            drift.missing_now - drift.missing_before,
            rules.null_rise,
        )
        yield drift.column, "share outside the range of training", rules.ranges, drift.outside, rules.outside_share
        yield drift.column, "share of unseen values", rules.unseen, drift.unseen, rules.unseen_share
        yield drift.column, "PSI", rules.psi, drift.psi or 0.0, rules.psi_limit
        yield drift.column, "KS", rules.ks, drift.ks or 0.0, rules.ks_limit
    moved = _label_shift(before.columns[-1], now.columns[-1])
    yield drifts[-1].column, "label moved by", rules.label, moved, rules.label_shift


def _drift(before: ColumnProfile, now: ColumnProfile) -> Drift:
    psi = ks = None
    if before.values:
        names = sorted(before.values.keys() | now.values.keys())
        psi = _psi(*(np.array([part.values.get(name, 0.0) for name in names]) for part in (before, now)))
    elif before.shares and now.shares:
        first, second = np.array(before.shares), np.array(now.shares)
        psi = _psi(first, second)
        ks = float(np.abs(np.cumsum(first) - np.cumsum(second)).max())
    unseen = sum(share for value, share in now.values.items() if value not in before.values)
    return Drift(
        column=before.name,
        missing_before=before.missing,
        missing_now=now.missing,
        outside=now.outside,
        unseen=unseen,
        psi=psi,
        ks=ks,
    )


def _psi(before: Float64, now: Float64) -> float:
    p, q = np.maximum(before, SMALLEST_SHARE), np.maximum(now, SMALLEST_SHARE)
    return float(((p - q) * np.log(p / q)).sum())


def _label_shift(before: ColumnProfile, now: ColumnProfile) -> float:
    if before.values:
        names = before.values.keys() | now.values.keys()
        return max(abs(before.values.get(name, 0.0) - now.values.get(name, 0.0)) for name in names)
    if before.mean is None or now.mean is None:
        return 0.0
    return abs(now.mean - before.mean) / (before.deviation or 1.0)


def _edges(files: list[TableFile], schema: Schema) -> dict[str, tuple[float, ...]]:
    """Return the inner edges of bins with equal shares of a sample of the rows."""
    numbers = [column for column in (*schema.features, schema.label) if column.kind in ("number", "boolean")]
    order = Permutation(max(1, sum(file.rows for file in files)), derive(0, "profile"))
    samples: dict[str, list[Float64]] = {column.name: [] for column in numbers}
    start = 0
    for part in table.read(files, [column.name for column in numbers]) if numbers else ():
        chosen = order.of(np.arange(start, start + len(part))) < SAMPLE_ROWS
        for column in numbers:
            values = as_floats(part.column(column.name), column.name, column.kind, part.subject)[chosen]
            samples[column.name].append(values[~np.isnan(values)])
        start += len(part)
    joined = {name: np.concatenate(parts) for name, parts in samples.items()}
    inner = np.linspace(0, 1, BINS + 1)[1:-1]
    return {
        name: tuple(np.unique(np.quantile(values, inner)).tolist()) for name, values in joined.items() if len(values)
    }


@dataclass
class _Numbers:
    column: Column
    edges: tuple[float, ...]
    reference: ColumnProfile | None
    counts: list[int] = field(default_factory=list)
    count: int = 0
    total: float = 0.0
    squares: float = 0.0
    outside: int = 0
    low: float = np.inf
    high: float = -np.inf

    def add(self, part: Slice) -> None:
        values = as_floats(part.column(self.column.name), self.column.name, self.column.kind, part.subject)
        values = values[~np.isnan(values)]
        places = np.searchsorted(self.edges, values, side="right")
        found = np.bincount(places, minlength=len(self.edges) + 1)
        self.counts = (found + np.array(self.counts or [0])).tolist()
        self.count, self.total = self.count + len(values), self.total + float(values.sum())
        self.squares += float((values * values).sum())
        self.low, self.high = values.min(initial=self.low), values.max(initial=self.high)
        known = self.reference
        if known and known.low is not None and known.high is not None:
            self.outside += int(((values < known.low) | (values > known.high)).sum())

    def profile(self, rows: int) -> ColumnProfile:
        count, moving = self.count, self.column.kind in TIMES
        mean = self.total / count if count else None
        deviation = max(self.squares / count - mean * mean, 0.0) ** 0.5 if count and mean is not None else None
        return ColumnProfile(
            name=self.column.name,
            kind=self.column.kind,
            missing=1 - count / rows,
            low=float(self.low) if count else None,
            high=float(self.high) if count else None,
            mean=mean,
            deviation=deviation,
            outside=0.0 if moving else self.outside / max(1, count),
            edges=self.edges,
            shares=tuple(part / count for part in self.counts) if count and not moving else (),
        )


@dataclass
class _Categories:
    column: Column
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, part: Slice) -> None:
        texts = as_texts(part.column(self.column.name))
        for entry in pc.value_counts(texts.drop_null()).to_pylist():
            self.counts[entry["values"]] += entry["counts"]

    def profile(self, rows: int) -> ColumnProfile:
        count = self.counts.total()
        values = {name: self.counts[name] / count for name in sorted(self.counts)}
        return ColumnProfile(name=self.column.name, kind="category", missing=1 - count / rows, values=values)
