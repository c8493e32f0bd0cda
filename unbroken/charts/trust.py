"""The sections on where a model is bad, whether its probabilities can be trusted, and what drives it."""

import json
import math
from typing import Any

import numpy as np

from unbroken.charts import quality
from unbroken.charts.page import Page, details, paragraph, table, tiles
from unbroken.charts.quality import Curves
from unbroken.charts.scoring import IMPORTANCE_ROWS, REPEATS, Measured, Scores
from unbroken.charts.slices import Slice, slices_of, worst
from unbroken.errors import ConfigError
from unbroken.evaluation.conformal import Calibration
from unbroken.storage.artifact import from_json

SHARES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
MOST_CURVES, MOST_CLASSES, MOST_WORST, MOST_SLICED, MOST_BARS = 6, 20, 15, 6, 25
OF_LOSS, OF_ERROR = "mean log loss", "mean absolute error"


def add_slices(page: Page, measured: Measured) -> None:
    """Add the slices of the rows in which the model is worse than elsewhere, and those by the columns that drive it."""
    scores, overall = measured.scores, float(measured.scores.losses.mean())
    slices, title = slices_of(measured.rows, scores), _loss_title(measured)
    parts = worst(slices, overall, MOST_WORST)
    told = (
        f"The {title} of all rows is {overall:.5g}. "
        + ("These slices lie above it by more than chance." if parts else "No slice lies above it by more than chance.")
        + " Some slices are harder by nature, so beside each stands the best constant guess for just that slice."
    )
    figures = []
    if page.bundle:
        from unbroken.charts.figures import errors_by_slice  # noqa: PLC0415 (an extra)

        columns = [importance.column for importance in measured.importances if importance.column in slices]
        figures = [(name, "", errors_by_slice(slices[name], overall, title)) for name in columns[:MOST_SLICED]]
    every = [part for column in slices.values() for part in column]
    page.add(
        "Where is it bad?",
        "Where bad?",
        paragraph(told),
        _slices_table(parts, title) if parts else "",
        paragraph(
            "Below, by the columns that matter most: lines are 95% intervals, rows are in brackets, dashed is the loss of all "
            "rows, and orange that guess.",
            "note",
        )
        if figures
        else "",
        page.charts(*figures),
        details(f"All {len(every)} slices of {len(slices)} columns", _slices_table(every, title)) if every else "",
    )


def add_trust(page: Page, measured: Measured, told: dict[str, Any]) -> None:
    """Add whether probabilities come true, or how far off values are.

    Args:
        page: The page.
        measured: The rows, and what the model gives for them.
        told: What the manifest says of the calibration; nothing where no rows validated.
    """
    task, scores = measured.rows.encoder.schema.task, measured.scores
    if task == "regression":
        content = _of_values(page, scores, told)
    else:
        names = [str(value) for value in measured.rows.encoder.schema.classes]
        content = _of_classes(page, scores, names, told, binary=task == "binary")
    question = "How far off is it?" if task == "regression" else "Can its probabilities be trusted?"
    page.add(question, "Trust", *content)


def add_importance(page: Page, measured: Measured) -> None:
    """Add which columns the model depends on."""
    importances, columns = measured.importances, len(measured.rows.encoder.schema.features)
    rows = min(len(measured.rows), IMPORTANCE_ROWS)
    words = (
        f"How much the {_loss_title(measured)} rises where the values of a column are shuffled, the mean of {REPEATS} tries on "
        f"{rows:,} test rows. Columns that say the same share what they matter."
    )
    if len(importances) < columns:
        words += f" Of {columns:,} columns, the first {len(importances):,} were tried."
    figures = []
    if page.bundle:
        from unbroken.charts.figures import bars  # noqa: PLC0415 (an extra)

        figures = [
            ("Permutation importance", "line: spread of the tries", bars(importances[:MOST_BARS], "rise of the loss"))
        ]
    heading = ["column", f"rise of the {_loss_title(measured)}", "spread"]
    listed = [[one.column, f"{one.rise:+.5f}", f"{one.deviation:.5f}"] for one in importances]
    content = table([heading, *listed], numbers=(1, 2))
    page.add(
        "What drives it?",
        "Drivers",
        paragraph(words),
        page.charts(*figures),
        details("All columns as a table", content) if figures else content,
    )


def _of_classes(page: Page, scores: Scores, names: list[str], told: dict[str, Any], *, binary: bool) -> list[str]:
    probabilities, labels = scores.probabilities, scores.labels
    predicted = (scores.predicted > 0.5).astype(np.int64) if binary else probabilities.argmax(1)
    chosen = (
        [1] if binary else [int(code) for code in np.argsort(-np.bincount(labels, minlength=len(names)))][:MOST_CURVES]
    )
    curves = {code: quality.curves(probabilities[:, code], labels == code) for code in range(len(names))}
    likelihood = scores.predicted if binary else probabilities.max(1)
    bins = quality.calibration(likelihood, labels == 1 if binary else labels == predicted)
    table_of_classes = quality.confusion(labels, predicted, len(names))
    error = quality.calibration_error(bins)
    cards = [
        (f"{error:.4f}", "expected calibration error", "", ""),
        (f"{brier(probabilities, labels):.4f}", "Brier score", "", ""),
    ]
    if curve := curves[1] if binary else None:
        cards.append((f"{curve.average_precision:.4f}", "average precision", "", ""))
    figures = []
    if page.bundle:
        from unbroken.charts import figures as draw  # noqa: PLC0415 (an extra)

        shown: dict[str, Curves] = {names[code]: curve for code in chosen if (curve := curves[code])}
        most = np.argsort(-table_of_classes.sum(1), kind="stable")[:MOST_CLASSES]
        most.sort()
        of_whom = f"class {names[1]}" if binary else "each of the most frequent classes against the others"
        share = float((labels == 1).mean()) if binary else None
        figures = [
            ("Calibration", "above the dashed line: comes true more often than predicted", draw.reliability(bins)),
            ("ROC", of_whom, draw.roc(shown) if shown else None),
            ("Precision and recall", of_whom, draw.precision_recall(shown, share) if shown else None),
            (
                "Confusion",
                "rows by class; shade: share of the true class",
                draw.confusion(table_of_classes[np.ix_(most, most)], [names[code] for code in most]),
            ),
            *_coverage(page, 1 - np.exp(-scores.losses), told),
        ]
    return [
        tiles(cards),
        paragraph(
            f"Of two classes the probability is that of {names[1]}, which is predicted above 0.5."
            if binary
            else "Calibration is that of the likeliest class."
        ),
        page.charts(*figures),
        _classes_table(table_of_classes, names, curves),
        details("Calibration as a table", calibration_table(bins)),
    ]


def _of_values(page: Page, scores: Scores, told: dict[str, Any]) -> list[str]:
    residuals = scores.labels - scores.predicted
    quantiles = np.quantile(scores.losses, [0.5, 0.9, 0.99])
    cards = [
        (f"{residuals.mean():+.4g}", "mean of true - predicted", "", ""),
        *(
            (f"{value:.4g}", f"error of {share} of the rows at most", "", "")
            for share, value in zip(("50%", "90%", "99%"), quantiles, strict=True)
        ),
    ]
    figures = []
    bands = quality.bands(scores.predicted, scores.labels)
    if page.bundle:
        from unbroken.charts import figures as draw  # noqa: PLC0415 (an extra)

        figures = [
            ("True by predicted", "middle and 90% of the true values; dashed: right", draw.true_by_predicted(bands)),
            (
                "Residuals",
                "true - predicted; the outermost bars hold what lies beyond",
                draw.histogram(quality.histogram(residuals), "true - predicted"),
            ),
            *_coverage(page, scores.losses, told),
        ]
    heading = ["mean prediction", "5% of the true values", "middle", "95%"]
    rows = [[f"{value:.4g}" for value in (band.predicted, band.low, band.middle, band.high)] for band in bands]
    return [
        tiles(cards),
        page.charts(*figures),
        _coverage_table(scores.losses, told),
        details("True by predicted as a table", table([heading, *rows], numbers=range(4))),
    ]


def _covered(errors: Any, told: dict[str, Any]) -> list[tuple[float, float, float]]:
    """Return the shares that were asked for, the error that promises each, and which share of the test rows it holds."""
    if not told.get("errors"):
        return []
    calibration = from_json(Calibration, json.dumps(told["errors"]).encode(), "calibration")
    covered = []
    for share in SHARES:
        try:
            threshold = calibration.threshold(share)
        except ConfigError:  # too few rows validated for it
            continue
        covered.append((share, threshold, float((errors <= threshold).mean())))
    return covered


def _coverage(page: Page, errors: Any, told: dict[str, Any]) -> list[tuple[str, str, Any]]:
    covered = _covered(errors, told)
    if not page.bundle or len(covered) < 2:
        return []
    from unbroken.charts.figures import coverage  # noqa: PLC0415 (an extra)

    note = "what --interval promises by the validation rows, and keeps on the test rows"
    return [("Coverage of intervals", note, coverage([(share, held) for share, _, held in covered]))]


def _coverage_table(errors: Any, told: dict[str, Any]) -> str:
    covered = _covered(errors, told)
    if not covered:
        return paragraph("No rows validated, so there are no intervals to judge.", "note")
    rows = [[f"{share:.0%}", f"± {threshold:.4g}", f"{held:.1%}"] for share, threshold, held in covered]
    return table([["interval asked for", "width", "of the test rows held"], *rows], numbers=range(3))


def _classes_table(counts: Any, names: list[str], curves: dict[int, Curves | None]) -> str:
    """Return how each class fares, the most frequent ones."""
    heading = ["class", "rows", "predicted", "precision", "recall", "AUROC", "average precision"]
    rows = []
    for code in np.argsort(-counts.sum(1), kind="stable")[: 3 * MOST_CLASSES]:
        right, true, predicted = counts[code, code], counts[code].sum(), counts[:, code].sum()
        curve = curves[int(code)]
        rows.append(
            [
                names[code],
                f"{true:,}",
                f"{predicted:,}",
                f"{right / predicted:.4f}" if predicted else "-",
                f"{right / true:.4f}" if true else "-",
                f"{curve.area:.4f}" if curve else "-",
                f"{curve.average_precision:.4f}" if curve else "-",
            ]
        )
    return table([heading, *rows], numbers=range(1, 7))


def calibration_table(bins: list[quality.CalibrationBin]) -> str:
    """Return bins of probabilities as a table."""
    heading = ["rows", "mean predicted", "came true", "95% interval"]
    rows = [
        [f"{part.rows:,}", f"{part.predicted:.4f}", f"{part.observed:.4f}", f"{part.low:.4f} to {part.high:.4f}"]
        for part in bins
    ]
    return table([heading, *rows], numbers=range(4))


def _slices_table(parts: list[Slice], title: str) -> str:
    several = any(part.actual is None for part in parts)
    heading = ["column", "slice", "rows", title, "95% interval", "of a guess"]
    heading += [] if several else ["mean label", "mean predicted"]
    rows = [
        [
            part.column,
            part.name,
            f"{part.rows:,}",
            f"{part.loss:.4f}",
            f"± {part.margin:.4f}",
            f"{part.constant:.4f}" + ("" if part.loss < part.constant else " (no better)"),
            *([] if several else [f"{part.actual:.4g}", f"{part.predicted:.4g}"]),
        ]
        for part in parts
    ]
    return table([heading, *rows], numbers=range(2, len(heading)))


def brier(probabilities: Any, labels: Any) -> float:
    """Return the mean squared distance of the probabilities from what came true, of two classes by that of one."""
    true = np.zeros_like(probabilities)
    true[np.arange(len(labels)), labels] = 1
    total = ((probabilities - true) ** 2).sum(1)
    return float(total.mean() / (2 if probabilities.shape[1] == 2 else 1))


def _loss_title(measured: Measured) -> str:
    return OF_ERROR if measured.rows.encoder.schema.task == "regression" else OF_LOSS


def is_finite(measured: Measured) -> bool:
    """Tell whether the model gives numbers for all rows."""
    return math.isfinite(float(measured.scores.losses.sum()))
