"""Write `report.html` of a run: one file that is read offline, on a phone, in the dark, on paper."""

import logging
import os
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from unbroken.charts.bundle import INSTALL, cache_folder, chart_bundle, is_installed
from unbroken.charts.inputs import add_inputs, read_manifest
from unbroken.charts.outcome import add_attempts, add_curves, add_result, add_way_back
from unbroken.charts.page import Page
from unbroken.charts.rows import HeldOutRows
from unbroken.charts.scoring import Measured, measure
from unbroken.charts.trust import add_importance, add_slices, add_trust, is_finite
from unbroken.config import Config
from unbroken.features.encoder import Encoder
from unbroken.reports.goodput import Goodput
from unbroken.reports.run import RunReport
from unbroken.run import Run
from unbroken.run_name import read_name
from unbroken.storage import atomic

log = logging.getLogger(__name__)
REPORT = "UNBROKEN_REPORT"
PARTS = ("train", "validation", "test")


def write_report_or_warn(run: Run, config: Config) -> Page | None:
    """Write the report of a finished training, which nothing that goes wrong here can harm; return it if that is done.

    Where `UNBROKEN_REPORT` is `off`, none is written.
    """
    if os.environ.get(REPORT) == "off":
        return None
    try:
        return _write(run, config.training.device, config.chosen.model.factory)
    except Exception as error:
        log.warning(
            "%s: no report.html: %s: %s. Try: unbroken runs report %s", run.path, type(error).__name__, error, run.key
        )
        return None


def write_report(run: Run, device: str, factory: str | None) -> Path:
    """Write the report of a run that has published a checkpoint.

    Args:
        run: The run.
        device: Where its model computes.
        factory: What builds its model, if it is the user's own and trusted.

    Returns:
        The path of the file.

    Raises:
        UnbrokenError: A file is not whole, or the model cannot be built.
        OSError: A file is missing, or cannot be written.
    """
    _write(run, device, factory)
    return run.page


def _write(run: Run, device: str, factory: str | None) -> Page:
    page = page_of(run, device, factory, chart_bundle(cache_folder()) if is_installed() else None)
    atomic.write(run.page, page.html().encode())
    return page


def page_of(run: Run, device: str, factory: str | None, bundle: str | None) -> Page:
    """Return the report of a run; the same for the same files, wherever it is made.

    Args:
        run: As `write_report` takes it.
        device: The same.
        factory: The same.
        bundle: The program that draws charts; None to leave them out.
    """
    report, manifest = RunReport.read(run), read_manifest(run)
    encoder = Encoder.of_tree(report.manifest["scaler"], run.published)
    test = run.data / "test.parquet"
    measured = measure(run.published, test, factory, device)
    parts = {
        part: pq.read_metadata(path).num_rows for part in PARTS if (path := run.data / f"{part}.parquet").is_file()
    }
    page = Page(title=_title(report, run), lines=_lines(report, run, measured.rows, bundle), bundle=bundle)
    add_result(page, report)
    add_curves(page, report)
    _add_measured(page, measured, report.manifest)
    add_inputs(page, encoder, manifest, measured.rows, parts)
    add_attempts(page, report, Goodput.of(report.events))
    add_way_back(page, report, run, read_name(run.path))
    return page


def _add_measured(page: Page, measured: Measured, manifest: dict[str, Any]) -> None:
    if not len(measured.rows) or not is_finite(measured):
        return
    add_slices(page, measured)
    add_trust(page, measured, manifest.get("calibration", {}))
    add_importance(page, measured)


def _title(report: RunReport, run: Run) -> str:
    return f"{report.manifest['schema']['label']['name']}: {read_name(run.path) or run.key}"


def _lines(report: RunReport, run: Run, rows: HeldOutRows, bundle: str | None) -> list[str]:
    config, schema = report.manifest["lineage"]["config"], report.manifest["schema"]
    lines = [
        f"{schema['task']} by {config['model']['factory']}, {len(schema['features'])} columns, run {run.key}",
    ]
    if len(rows) < rows.total:
        lines.append(
            f"Slices, curves and importance are those of {len(rows):,} of the {rows.total:,} test rows, drawn at random with a "
            f"fixed seed; the metrics on top are those of all."
        )
    if bundle is None:
        lines.append(f"Charts are left out, since the libraries that draw them are missing. Install them: {INSTALL}")
    return lines
