"""Write the page of a decision beside it, or that of what blocked a round; nothing that goes wrong here loses a decision."""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unbroken.charts.bundle import INSTALL, cache_folder, chart_bundle, is_installed
from unbroken.charts.page import Page
from unbroken.charts.report import REPORT
from unbroken.charts.retraining.both import Both, measure_both
from unbroken.charts.retraining.origin import add_block, add_history, add_lineage, add_way_back
from unbroken.charts.retraining.shift import add_drift, add_trust
from unbroken.charts.retraining.verdict import add_slices, add_verdict
from unbroken.config import RetrainConfig
from unbroken.config.metrics import CONSTANT
from unbroken.errors import BlockedError
from unbroken.retraining.data_check import DataCheck, DataReport
from unbroken.retraining.datasets import CycleDatasets
from unbroken.retraining.new_data import Cycle, registry_of
from unbroken.retraining.promotion import Decision
from unbroken.storage import atomic
from unbroken.storage.artifact import Artifact, from_json
from unbroken.storage.journal import Event

log = logging.getLogger(__name__)

PAGE, BLOCKED_PAGE = "report.html", "blocked.html"
CHAMPION = "champion"


@dataclass(frozen=True, kw_only=True)
class Written:
    """A page, and where it was written."""

    path: Path
    page: Page


def write_decision_or_warn(
    decision: Decision,
    cycle: Cycle,
    datasets: CycleDatasets,
    check: DataCheck,
    challenger: Artifact,
    config: RetrainConfig,
) -> Written | None:
    """Write the page of a decision into the folder of its cycle; return it, None where it could not be written.

    Args:
        decision: What became of the challenger.
        cycle: Its files.
        datasets: Its rows.
        check: How far the rows moved.
        challenger: The checkpoint that its training published.
        config: The settings of the round.
    """
    path = cycle.path / PAGE
    return _written(path, lambda: decision_page(decision, cycle, datasets, check, challenger, config, _bundle()))


def write_blocked_or_warn(error: BlockedError, config: RetrainConfig) -> Written | None:
    """Write the page of a round that was blocked: beside what was measured of its rows, or else into the folder of the model."""
    path = Path(error.report).with_name(PAGE) if error.report else registry_of(config).folder / BLOCKED_PAGE
    return _written(path, lambda: blocked_page(error, config, _bundle() if error.report else None))


def decision_page(
    decision: Decision,
    cycle: Cycle,
    datasets: CycleDatasets,
    check: DataCheck,
    challenger: Artifact,
    config: RetrainConfig,
    bundle: str | None,
) -> Page:
    """Return the page of a decision, the same for the same decision.

    Args:
        decision: As `write_decision_or_warn` takes it.
        cycle: The same.
        datasets: The same.
        check: The same.
        challenger: The same.
        config: The same.
        bundle: The program that draws charts; None to leave them out.
    """
    opponent = CHAMPION if cycle.rival else CONSTANT
    both = measure_both(cycle, datasets, decision.challenger, decision.verdict, config)
    event = _event(config, lambda event: event.get("challenger") == decision.challenger.digest and "scores" in event)
    word = "the champion stays" if decision.name == "Kept" else decision.name.lower()
    page = Page(title=f"{config.model}: {word}", lines=_lines(both, datasets, cycle, bundle), bundle=bundle)
    add_verdict(page, decision.verdict, both, opponent, config.gate, event)
    if len(both.rows) and both.is_finite:
        add_slices(page, both, decision.verdict, opponent)
        add_trust(page, both, opponent)
    add_drift(page, _data_report(check.report.path), config.checks)
    add_lineage(page, decision, cycle, datasets, Path(challenger.path).parent, config.train.data.source)
    add_way_back(page, decision, cycle.champion.digest if cycle.champion else None, config)
    return page


def blocked_page(error: BlockedError, config: RetrainConfig, bundle: str | None) -> Page:
    """Return the page of a round that was blocked, with what is known of it."""
    page = Page(title=f"{config.model}: blocked", lines=[f"{error.data}: nothing was trained"], bundle=bundle)
    add_block(page, error, _event(config, lambda event: event["event"] == "blocked"), config)
    if error.report:
        add_drift(page, _data_report(error.report), config.checks)
    add_history(page, config)
    return page


def _written(path: Path, draw: Callable[[], Page]) -> Written | None:
    if os.environ.get(REPORT) == "off":
        return None
    try:
        page = draw()
        atomic.write(path, page.html().encode())
    except Exception as error:
        log.warning("%s: no page of this decision, which stands: %s: %s", path, type(error).__name__, error)
        return None
    log.info("%-15s %s", "report", path)
    return Written(path=path, page=page)


def _bundle() -> str | None:
    return chart_bundle(cache_folder()) if is_installed() else None


def _event(config: RetrainConfig, is_it: Callable[[Event], bool]) -> dict[str, Any]:
    """Return the last event of the audit log that is meant; an empty one if there is none."""
    return next((event for event in reversed(registry_of(config).history()) if is_it(event)), {})


def _data_report(path: str) -> DataReport:
    return from_json(DataReport, Path(path).read_bytes(), path)


def _lines(both: Both, datasets: CycleDatasets, cycle: Cycle, bundle: str | None) -> list[str]:
    schema = datasets.schema
    lines = [
        f"{cycle.data}: {schema.task} of {schema.label.name} by {datasets.config.model.factory}, "
        f"{len(schema.features)} columns"
    ]
    if len(both.rows) < both.rows.total:
        lines.append(
            f"Slices and curves are those of {len(both.rows):,} of the {both.rows.total:,} rows that judged, drawn at random "
            f"with a fixed seed; the metrics on top are those of all."
        )
    if bundle is None:
        lines.append(f"Charts are left out, since the libraries that draw them are missing. Install them: {INSTALL}")
    return lines
