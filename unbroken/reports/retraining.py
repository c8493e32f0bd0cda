"""What a retraining decided, for a person: the verdict, both scores, the slices, the drift of the data, and lineage."""

from pathlib import Path

from unbroken.reports.markdown import markdown_table, number, values_table
from unbroken.retraining.data_check import DataCheck, DataReport
from unbroken.retraining.gate import Verdict
from unbroken.retraining.new_data import Cycle
from unbroken.retraining.promotion import Decision
from unbroken.storage.artifact import from_json


def decision_markdown(decision: Decision, found: Cycle, checked: DataCheck) -> str:
    """Return the report as Markdown."""
    verdict, path = decision.verdict, Path(checked.report.path)
    data = from_json(DataReport, path.read_bytes(), str(path))
    parts = [
        f"# {'Promoted' if verdict.promote else 'The champion stays'}",
        f"{found.data}: {verdict.reason}.",
        "## Gate",
        markdown_table(_scores(verdict, "champion" if found.champion else "a constant guess")),
        "## Data against the champion's",
        _drift(data),
        "## Lineage",
        values_table(_lineage(decision, found)),
    ]
    return "\n\n".join(parts) + "\n"


def _scores(verdict: Verdict, before: str) -> list[list[str]]:
    interval = f"{verdict.gain:+.4f} ({verdict.low:+.4f} .. {verdict.high:+.4f})"
    everything = ["all", f"{verdict.rows:,}", number(verdict.champion), number(verdict.challenger), interval]
    slices = [
        [part.name, f"{part.rows:,}", number(part.champion), number(part.challenger), f"{part.gain:+.4f}"]
        for part in verdict.slices
    ]
    return [["rows", "number", f"{verdict.metric} of {before}", "of challenger", "gain"], everything, *slices]


def _drift(data: DataReport) -> str:
    if not data.drifts:
        return "There is no champion yet to measure the data against."
    passed = {finding.column: f"{finding.rule} ({finding.action})" for finding in data.findings}
    rows = [
        [
            drift.column,
            number(drift.psi),
            number(drift.ks),
            f"{drift.missing_before:.1%} to {drift.missing_now:.1%}",
            f"{drift.outside:.1%}",
            f"{drift.unseen:.1%}",
            passed.get(drift.column, ""),
        ]
        for drift in data.drifts
    ]
    return markdown_table([["column", "PSI", "KS", "missing", "outside the range", "unseen", "limit passed"], *rows])


def _lineage(decision: Decision, found: Cycle) -> dict[str, object]:
    return {
        "new files": ", ".join(Path(file.url).name for file in found.new),
        "champion before": found.champion.digest if found.champion else "none",
        "challenger": decision.challenger.digest,
        "champion now": decision.champion or "none",
    }
