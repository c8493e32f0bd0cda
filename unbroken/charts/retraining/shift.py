"""The sections on what changed: whether probabilities come true, how far off values are, and how far the data moved."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from unbroken.charts import quality
from unbroken.charts.page import Page, details, paragraph, table, tiles
from unbroken.charts.quality import CalibrationBin
from unbroken.charts.retraining.both import Both
from unbroken.charts.retraining.verdict import CHALLENGER
from unbroken.charts.scoring import Scores
from unbroken.charts.trust import brier, calibration_table
from unbroken.config import ChecksConfig
from unbroken.reports.markdown import format_number, format_share
from unbroken.retraining.data_check import DataReport

QUANTILES = (0.5, 0.9, 0.99)
MOST_CLASSES, MOST_DRIFTS = 60, 20


def add_trust(page: Page, both: Both, opponent: str) -> None:
    """Add whether the probabilities of both models come true, or how far off their values are."""
    models = {CHALLENGER: both.challenger, opponent: both.champion}
    if both.names:
        page.add("Did its probabilities shift?", "Calibration", *_of_classes(page, both, models))
    else:
        page.add("How far off are both?", "Errors", *_of_values(page, models))


def add_drift(page: Page, data: DataReport, rules: ChecksConfig) -> None:
    """Add how far the new rows moved from those that the champion was trained on, what exceeds a limit first."""
    if not data.drifts:
        page.add("Did the data drift?", "Drift", paragraph("There is no champion to measure the data against."))
        return
    limits: dict[str, list[str]] = {}
    for finding in data.findings:
        limits.setdefault(finding.column, []).append(
            f"{finding.rule} {finding.found:.3g} > {finding.limit:g} ({finding.action})"
        )
    heading = ["column", "PSI", "KS", "missing before", "missing now", "outside the range", "unseen", "limit exceeded"]
    drifts = sorted(data.drifts, key=lambda drift: (drift.column not in limits, -(drift.psi or 0.0)))
    rows = [
        [
            drift.column,
            format_number(drift.psi),
            format_number(drift.ks),
            *map(format_share, (drift.missing_before, drift.missing_now, drift.outside, drift.unseen)),
            "; ".join(limits.get(drift.column, [])),
        ]
        for drift in drifts
    ]
    measured = sorted(
        ((drift.column, drift.psi) for drift in drifts if drift.psi is not None), key=lambda pair: -pair[1]
    )
    figures = []
    if page.bundle and measured:
        from unbroken.charts.retraining import figures as draw  # noqa: PLC0415 (an extra)

        note = f"population stability index; dashed: the limit {rules.psi_limit:g}; orange: beyond it"
        figures = [("The columns that moved most", note, draw.drift(measured[:MOST_DRIFTS], rules.psi_limit))]
    exceeded = f"{len(limits)} of {len(drifts)} columns exceed a limit" if limits else "No column exceeds a limit"
    page.add(
        "Did the data drift?",
        "Drift",
        paragraph(f"All new rows against those that the champion was trained on. {exceeded}."),
        page.charts(*figures),
        table([heading, *rows], numbers=range(1, 7)),
    )


def _of_classes(page: Page, both: Both, models: dict[str, Scores]) -> list[str]:
    binary = both.task == "binary"
    bins = {name: _bins(scores, binary=binary) for name, scores in models.items()}
    cards = [
        card
        for name, scores in reversed(models.items())
        for card in (
            (f"{quality.calibration_error(bins[name]):.4f}", f"calibration error of the {name}", "", ""),
            (f"{brier(scores.probabilities, scores.labels):.4f}", f"Brier score of the {name}", "", ""),
        )
    ]
    figures = []
    if page.bundle:
        from unbroken.charts.retraining import figures as draw  # noqa: PLC0415 (an extra)

        note = "above the dashed line: comes true more often than predicted"
        likelihoods = {name: _likelihood(scores, binary=binary) for name, scores in models.items()}
        title = f"probability of {both.names[1]}" if binary else "probability of the likeliest class"
        figures = [
            ("Calibration", note, draw.reliability(bins)),
            ("What they predict", "test rows by probability", draw.distributions(_counted(likelihoods), "probability")),
            *_curves(both, models, title),
        ]
    whose = f"of {both.names[1]}" if binary else "of the likeliest class"
    return [
        tiles(cards),
        paragraph(f"The probability is that {whose}, each model's own."),
        page.charts(*figures),
        "" if binary else _classes_table(both, models),
        *(details(f"Calibration of the {name} as a table", calibration_table(parts)) for name, parts in bins.items()),
    ]


def _curves(both: Both, models: dict[str, Scores], title: str) -> list[tuple[str, str, Any]]:
    """Return the ROC and the precision-recall curves of two classes."""
    if both.task != "binary":
        return []
    from unbroken.charts.figures import precision_recall, roc  # noqa: PLC0415 (an extra)

    curves = {name: quality.curves(scores.predicted, scores.labels == 1) for name, scores in models.items()}
    known = {name: curve for name, curve in curves.items() if curve}
    if not known:
        return []
    share = float((both.challenger.labels == 1).mean())
    return [("ROC", title, roc(known)), ("Precision and recall", title, precision_recall(known, share))]


def _of_values(page: Page, models: dict[str, Scores]) -> list[str]:
    residuals = {name: scores.labels - scores.predicted for name, scores in models.items()}
    cards = [
        (f"{values.mean():+.4g}", f"mean of true - predicted, {name}", "", "")
        for name, values in reversed(residuals.items())
    ]
    figures = []
    if page.bundle:
        from unbroken.charts.retraining import figures as draw  # noqa: PLC0415 (an extra)

        bands = {name: quality.bands(scores.predicted, scores.labels) for name, scores in models.items()}
        figures = [
            ("True by predicted", "middle of the true values; dashed: right", draw.true_by_predicted(bands)),
            ("Residuals", "test rows by true - predicted", draw.distributions(_counted(residuals), "true - predicted")),
        ]
    heading = ["error of", *(f"{share:.0%} of the rows at most" for share in QUANTILES)]
    rows = [
        [name, *(f"{value:.4g}" for value in np.quantile(scores.losses, QUANTILES))]
        for name, scores in reversed(models.items())
    ]
    return [tiles(cards), page.charts(*figures), table([heading, *rows], numbers=range(1, 4))]


def _likelihood(scores: Scores, *, binary: bool) -> Any:
    return scores.predicted if binary else scores.probabilities.max(1)


def _bins(scores: Scores, *, binary: bool) -> list[CalibrationBin]:
    right = scores.labels == 1 if binary else scores.probabilities.argmax(1) == scores.labels
    return quality.calibration(_likelihood(scores, binary=binary), right)


def _counted(values: Mapping[str, Any], bins: int = 25) -> dict[str, list[tuple[float, float, int]]]:
    """Return low, high and count of the same bins for each; the outermost hold what lies beyond the quantile of 0.5%."""
    low, high = np.quantile(np.concatenate(list(values.values())), [0.005, 0.995])
    edges = np.linspace(low, high if high > low else low + 1, bins + 1)
    counts = {name: np.histogram(np.clip(array, edges[0], edges[-1]), edges)[0] for name, array in values.items()}
    return {
        name: [(float(a), float(b), int(n)) for a, b, n in zip(edges[:-1], edges[1:], count, strict=True)]
        for name, count in counts.items()
    }


def _classes_table(both: Both, models: dict[str, Scores]) -> str:
    """Return how each of the most frequent classes fares with both models."""
    heading = ["class", "rows", *(f"{what} of the {name}" for name in models for what in ("precision", "recall"))]
    labels = both.challenger.labels
    tables = [quality.confusion(labels, scores.probabilities.argmax(1), len(both.names)) for scores in models.values()]
    order = np.argsort(-np.bincount(labels, minlength=len(both.names)), kind="stable")[:MOST_CLASSES]
    rows = [
        [both.names[code], f"{tables[0][code].sum():,}", *(text for counts in tables for text in _rates(counts, code))]
        for code in order
    ]
    return table([heading, *rows], numbers=range(1, len(heading)))


def _rates(counts: Any, code: int) -> tuple[str, str]:
    """Return precision and recall of a class."""
    right, true, predicted = counts[code, code], counts[code].sum(), counts[:, code].sum()
    return (f"{right / predicted:.4f}" if predicted else "-"), (f"{right / true:.4f}" if true else "-")
