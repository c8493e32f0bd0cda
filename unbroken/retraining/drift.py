"""Measure how far new rows moved from those that the champion was trained on, and check that against rules.

PSI, the population stability index: the sum over bins of (p - q) ln(p / q) for shares p in the reference and q now (Siddiqi,
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
    """How far one column moved from the reference profile (`before`) to the current one (`now`)."""

    column: str
    missing_before: float
    missing_now: float
    outside: float
    unseen: float
    psi: float | None
    ks: float | None


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A limit that was exceeded and what follows."""

    action: Rule
    rule: str
    column: str
    found: float
    limit: float

    def __str__(self) -> str:
        return f"{self.column}: {self.rule} {self.found:.3f}, expected at most {self.limit:g}"


def measure_drift(reference: Profile, current: Profile) -> list[Drift]:
    """Return how far each column moved, the label last."""
    return [_column_drift(*columns) for columns in zip(reference.columns, current.columns, strict=True)]


def check_drift(reference: Profile, current: Profile, rules: ChecksConfig) -> list[Finding]:
    """Return every limit of a rule that is not ignored and was exceeded."""
    return [
        Finding(action=action, rule=rule, column=column, found=value, limit=limit)
        for column, rule, action, value, limit in _measured_rules(reference, current, rules)
        if action != "ignore" and value > limit
    ]


def enforce_rules(findings: list[Finding], subject: str) -> None:
    """Log every warning; raise DataError naming all that blocks."""
    for finding in findings:
        if finding.action == "warn":
            log.warning("%s: %s", subject, finding)
    if blocks := [str(finding) for finding in findings if finding.action == "block"]:
        raise DataError(f"{subject}: {'; '.join(blocks)}. Mend the data, or set the rule to warn if they are right")


def _measured_rules(
    reference: Profile, current: Profile, rules: ChecksConfig
) -> Iterator[tuple[str, str, Rule, float, float]]:
    """Yield column, rule, action, measured value and limit of every rule for every column."""
    *drifts, label_drift = measure_drift(reference, current)
    for drift in drifts:
        missing_rise = drift.missing_now - drift.missing_before
        yield drift.column, "share missing rose by", rules.nulls, missing_rise, rules.null_rise
        yield drift.column, "share outside the range of training", rules.ranges, drift.outside, rules.outside_share
        yield drift.column, "share of unseen values", rules.unseen, drift.unseen, rules.unseen_share
        yield drift.column, "PSI", rules.psi, drift.psi or 0.0, rules.psi_limit
        yield drift.column, "KS", rules.ks, drift.ks or 0.0, rules.ks_limit
    shift = _label_shift(reference.columns[-1], current.columns[-1])
    yield label_drift.column, "label moved by", rules.label, shift, rules.label_shift


def _column_drift(reference: ColumnProfile, current: ColumnProfile) -> Drift:
    psi = ks = None
    if reference.values:
        names = sorted(reference.values.keys() | current.values.keys())
        psi = _psi(*(np.array([profile.values.get(name, 0.0) for name in names]) for profile in (reference, current)))
    elif reference.shares and current.shares:
        p, q = np.array(reference.shares), np.array(current.shares)
        psi = _psi(p, q)
        ks = float(np.abs(np.cumsum(p) - np.cumsum(q)).max())
    unseen = sum(share for value, share in current.values.items() if value not in reference.values)
    return Drift(
        column=reference.name,
        missing_before=reference.missing,
        missing_now=current.missing,
        outside=current.outside,
        unseen=unseen,
        psi=psi,
        ks=ks,
    )


def _psi(reference: Float64, current: Float64) -> float:
    p, q = np.maximum(reference, SMALLEST_SHARE), np.maximum(current, SMALLEST_SHARE)
    return float(((p - q) * np.log(p / q)).sum())


def _label_shift(reference: ColumnProfile, current: ColumnProfile) -> float:
    """Return the largest move of a class's share, or the move of the mean in standard deviations."""
    if reference.values:
        names = reference.values.keys() | current.values.keys()
        return max(abs(reference.values.get(name, 0.0) - current.values.get(name, 0.0)) for name in names)
    if reference.mean is None or current.mean is None:
        return 0.0
    return abs(current.mean - reference.mean) / (reference.deviation or 1.0)
