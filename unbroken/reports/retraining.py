"""The report of a retraining: the verdict, both scores, the slices, the drift of the data, and lineage; or what ended it."""

from collections.abc import Sequence
from pathlib import Path

from unbroken.config import RetrainConfig
from unbroken.errors import BlockedError, UnbrokenError
from unbroken.reports.markdown import (
    file_link,
    format_gain,
    format_number,
    format_share,
    markdown_table,
    paragraph,
    values_table,
)
from unbroken.retraining.data_check import DataCheck, DataReport
from unbroken.retraining.gate import SliceScore, Verdict
from unbroken.retraining.new_data import Cycle
from unbroken.retraining.promotion import Decision
from unbroken.storage.artifact import from_json


def decision_markdown(
    decision: Decision,
    cycle: Cycle,
    check: DataCheck,
    baselines: Sequence[str] = (),
    page: Path | None = None,
) -> str:
    """Return the report as Markdown.

    Args:
        decision: What became of the challenger.
        cycle: The new files.
        check: Where the report of their data lies.
        baselines: How guesses and gradient boosting fared on the test rows of the challenger's training, in words.
        page: Where the page is that shows more than this, if there is one.
    """
    verdict, path = decision.verdict, Path(check.report.path)
    data = from_json(DataReport, path.read_bytes(), str(path))
    parts = [
        f"# {'The champion stays' if decision.name == 'Kept' else decision.name}",
        paragraph(f"{cycle.data}: {verdict.reason}."),
        *([file_link(page)] if page else []),
        *([paragraph(decision.approval)] if decision.approval else []),
        *(["## Files left out", *map(paragraph, cycle.broken)] if cycle.broken else []),
        "## Gate",
        markdown_table(_scores(verdict, "champion" if cycle.rival else "a constant guess")),
        *(
            ["## Beside the challenger, on the test rows of its training", *map(paragraph, baselines)]
            if baselines
            else []
        ),
        "## Data against the champion's",
        _drift(data),
        "## Lineage",
        values_table(lineage_of(decision, cycle)),
    ]
    return "\n\n".join(parts) + "\n"


def failure_markdown(
    error: UnbrokenError, config: RetrainConfig, champion: str | None, page: Path | None = None
) -> str:
    """Return the report of a round that ended without a decision as Markdown.

    Args:
        error: What ended it.
        config: Its settings.
        champion: The digest of the champion, which stays.
        page: Where the page is that shows more than this, if there is one.
    """
    details: dict[str, object] = {"model": config.model or "-", "source": config.train.data.source or "-"}
    parts = [
        f"# {'Blocked' if isinstance(error, BlockedError) else 'Failed'}",
        paragraph(str(error)),
        *([file_link(page)] if page else []),
    ]
    if isinstance(error, BlockedError):
        details |= {"new files": error.data, "rule": error.rule}
    parts += ["## What ended it", values_table(details | {"champion, as before": champion or "none"})]
    if isinstance(error, BlockedError) and error.report:
        data = from_json(DataReport, Path(error.report).read_bytes(), error.report)
        parts += ["## Data against the champion's", _drift(data)]
    return "\n\n".join(parts) + "\n"


def _scores(verdict: Verdict, opponent: str) -> list[list[str]]:
    """Return the metric of both models on all rows and on each slice; the heading first."""
    interval = f"{format_gain(verdict.low)} .. {format_gain(verdict.high)}"
    scores: list[tuple[str, Verdict | SliceScore, str]] = [
        ("all", verdict, f"{format_gain(verdict.gain)} ({interval})")
    ]
    scores += [(score.name, score, format_gain(score.gain)) for score in verdict.slices]
    rows = [
        [name, f"{score.rows:,}", format_number(score.champion), format_number(score.challenger), gain]
        for name, score, gain in scores
    ]
    return [["rows", "number", f"{verdict.metric} of {opponent}", "of challenger", "gain"], *rows]


def _drift(data: DataReport) -> str:
    if not data.drifts:
        return "There is no champion to measure the data against."
    limits = {finding.column: f"{finding.rule} ({finding.action})" for finding in data.findings}
    rows = [
        [
            drift.column,
            format_number(drift.psi),
            format_number(drift.ks),
            f"{format_share(drift.missing_before)} to {format_share(drift.missing_now)}",
            format_share(drift.outside),
            format_share(drift.unseen),
            limits.get(drift.column, ""),
        ]
        for drift in data.drifts
    ]
    return markdown_table([["column", "PSI", "KS", "missing", "outside the range", "unseen", "limit exceeded"], *rows])


def lineage_of(decision: Decision, cycle: Cycle) -> dict[str, object]:
    """Return which model came from which, and from which files."""
    return {
        "new files": ", ".join(Path(file.url).name for file in cycle.new),
        "champion before": cycle.champion.digest if cycle.champion else "none",
        "challenger": decision.challenger.digest,
        "challenger starts": decision.start,
        "champion now": decision.champion or "none",
    }
