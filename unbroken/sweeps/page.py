"""`sweep.html`: the best, each trial, and what each setting did, in one page that is read offline."""

import logging
import os
from pathlib import Path
from typing import Any

from unbroken.charts.bundle import INSTALL, cache_folder, chart_bundle, is_installed
from unbroken.charts.page import Page, commands, paragraph, table, tiles, values_table
from unbroken.charts.report import REPORT
from unbroken.reports.markdown import format_number
from unbroken.stages.results import Restored
from unbroken.storage import atomic
from unbroken.sweeps.result import Trials, show

log = logging.getLogger(__name__)


def write_page_or_warn(trials: Trials, restored: Restored) -> None:
    """Write the page of a sweep, which nothing that goes wrong here can harm; none where `UNBROKEN_REPORT` is `off`."""
    if os.environ.get(REPORT) == "off":
        return
    page = trials.sweep.page
    try:
        bundle = chart_bundle(cache_folder()) if is_installed() else None
        atomic.write(page, page_of(trials, restored, bundle).html().encode())
    except Exception as error:
        log.warning("%s: not written: %s: %s", page, type(error).__name__, error)


def page_of(trials: Trials, restored: Restored, bundle: str | None) -> Page:
    """Return the page of a sweep whose best is published.

    Args:
        trials: The trials.
        restored: The best, as it was published.
        bundle: The program that draws charts; None to leave them out.
    """
    sweep = trials.sweep
    lines = [f"{len(trials.ended)} trials, compared by {trials.monitor}; the test rows were scored for the best alone."]
    if bundle is None:
        lines.append(f"Charts are left out, since the libraries that draw them are missing. Install them: {INSTALL}")
    page = Page(title=f"Sweep {sweep.name}", lines=lines, bundle=bundle)
    _add_best(page, trials, restored)
    if bundle is not None:
        _add_charts(page, trials)
    rows = trials.rows()
    page.add("All trials", "Trials", table(rows, numbers=range(len(rows[0]) - 1)))
    page.add("The same again", "Again", commands([f"unbroken runs report {sweep.name}", f"sha256sum {restored.path}"]))
    return page


def _add_best(page: Page, trials: Trials, restored: Restored) -> None:
    best = trials.record.outcomes[trials.best or 0]
    settings = trials.record.proposals[best.trial].settings
    tested = [(name, value) for name, value in restored.metrics.items() if name.startswith("test_")]
    words = [(format_number(best.value), trials.monitor, f"trial {best.trial}", "")]
    words += [(format_number(value), name, "scored once", "") for name, value in tested]
    content = values_table(
        {name: show(value) for name, value in settings.items()} | {"run": Path(restored.path).parent.name}
    )
    page.add("The best trial", "Best", tiles(words), paragraph("What it was trained with:"), content)


def _add_charts(page: Page, trials: Trials) -> None:
    from unbroken.sweeps.figures import by_trial, curves, slice_of  # noqa: PLC0415 (an extra)

    ended, monitor = trials.ended, trials.monitor
    figures: list[tuple[str, str, Any]] = [
        ("By trial", "each trial, and the best so far", by_trial(ended, monitor)),
        ("By epoch", "each trial's epochs, to where it was pruned", curves(ended, monitor)),
    ]
    figures += [(name, "against each value that was tried", slice_of(ended, name, monitor)) for name in _names(trials)]
    page.add("Charts", "Charts", page.charts(*figures))


def _names(trials: Trials) -> list[str]:
    return list(trials.sweep.space.dimensions)
