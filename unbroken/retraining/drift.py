"""Do new rows still look like those the champion was trained on? A profile of each column, and rules over two profiles.

PSI, the population stability index: the sum over bins of (p - q) ln(p / q) for shares p before and q now (Siddiqi,
"Credit Risk Scorecards", 2006). KS: the largest distance of the two cumulative distributions at the edges of the bins.
The bins of a number hold equal shares of the training rows; times have none, since they are meant to move on.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from unbroken.config import ChecksConfig
from unbroken.config.retraining import Rule
from unbroken.data.kinds import Float64
from unbroken.errors import DataError
from unbroken.retraining.profile import ColumnProfile, Profile

log = logging.getLogger(__name__)

SMALLEST_SHARE = 1e-4
"""Stands for a share of 0, which has no logarithm."""


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


def measure_drift(before: Profile, now: Profile) -> list[Drift]:
    """Return how far each column moved."""
    return [_drift(one, other) for one, other in zip(before.columns, now.columns, strict=True)]


def check_drift(before: Profile, now: Profile, rules: ChecksConfig) -> list[Finding]:
    """Return every limit of a rule that is not ignored and was passed."""
    drifts = measure_drift(before, now)
    return [
        Finding(action=action, rule=rule, column=column, found=found, limit=limit)
        for column, rule, action, found, limit in _measured(before, now, drifts, rules)
        if action != "ignore" and found > limit
    ]


def enforce_rules(findings: list[Finding], subject: str) -> None:
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
