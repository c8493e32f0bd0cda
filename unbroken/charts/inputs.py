"""The section on what went into a training: the columns, what was left out and why, what is suspected, and the rows."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from unbroken.charts.page import Page, paragraph, table
from unbroken.charts.rows import HeldOutRows
from unbroken.contract.leaks import suspicion
from unbroken.data.dataset import Manifest
from unbroken.data.kinds import KINDS
from unbroken.features.encoder import CategoryCodes, Encoder, NumberScale
from unbroken.reports.markdown import format_share
from unbroken.run import Run
from unbroken.storage import own_files
from unbroken.storage.artifact import from_json

SHOWN = 1000
SHOWN_VALUES = 4
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def add_inputs(
    page: Page, encoder: Encoder, manifest: Manifest, rows: HeldOutRows | None, parts: dict[str, int]
) -> None:
    """Add the table of the columns.

    Args:
        page: The page.
        encoder: What was fitted to the columns.
        manifest: What stage 1 found.
        rows: Some of the rows that test, if they were read.
        parts: The number of rows of each part.
    """
    shares = ", ".join(f"{count:,} {part}" for part, count in parts.items())
    leaks = manifest.leaks
    suspects = "".join(
        f'<div class="notice">{paragraph(f"Suspected leak: {suspicion(name, why)}.")}</div>'
        for name, why in leaks.items()
    )
    heading = ["column", "kind", "use", "missing", "values in training"]
    scales = {scale.name: scale for scale in (*encoder.numbers, *encoder.categories)}
    listed = [
        [
            column.name,
            column.kind,
            "suspected leak" if column.name in leaks else "used",
            _missing(rows, scales[column.name]),
            _range(scales[column.name]),
        ]
        for column in encoder.schema.features[:SHOWN]
    ]
    listed.append([encoder.label.column.name, encoder.label.column.kind, "label", "", _label(encoder)])
    listed += [[name, "", f"left out: {why}", "", ""] for name, why in list(manifest.left_out.items())[:SHOWN]]
    further = len(encoder.schema.features) + len(manifest.left_out) - len(listed) + 1
    page.add(
        "What went in?",
        "Data",
        paragraph(f"{manifest.rows:,} rows with a label: {shares}."),
        suspects,
        table([heading, *listed], numbers=(3,)),
        paragraph(f"{further:,} further columns are not listed.", "note") if further > 0 else "",
        paragraph("Missing is the share of the test rows; it is known of numbers that training rows lack too.", "note"),
    )


def read_manifest(run: Run) -> Manifest:
    """Read what stage 1 of a run found."""
    path = run.data / "dataset.json"
    return from_json(Manifest, own_files.read(path), str(path))


def _missing(rows: HeldOutRows | None, scale: NumberScale | CategoryCodes) -> str:
    return "" if rows is None or not len(rows) else format_share(float(rows.missing(scale).mean()))


def _range(scale: NumberScale | CategoryCodes) -> str:
    if isinstance(scale, CategoryCodes):
        more = len(scale.values) - SHOWN_VALUES
        shown = ", ".join(scale.values[:SHOWN_VALUES])
        return f"{len(scale.values):,} values: {shown}" + (" ..." if more > 0 else "")
    if KINDS[scale.kind].instant:
        return f"{_moment(scale.low)} .. {_moment(scale.high)}"
    if scale.kind == "boolean":
        return f"true in {scale.fill:.1%}"
    unit = "" if scale.kind == "number" else " s"
    return f"{scale.low:.6g} .. {scale.high:.6g}{unit}, mean {scale.fill:.6g}"


def _moment(seconds: float) -> str:
    try:
        return (EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%d %H:%M").removesuffix(" 00:00")
    except OverflowError:  # a year that Python has no dates for
        return f"{seconds:.6g} s since 1970"


def _label(encoder: Encoder) -> str:
    label = encoder.label
    if not label.classes:
        return f"mean {label.mean:.6g}, deviation {label.deviation:.6g}"
    shown: list[Any] = [
        json.dumps(value) if isinstance(value, bool) else value for value in label.classes[:SHOWN_VALUES]
    ]
    return f"{len(label.classes)} classes: {', '.join(map(str, shown))}" + (
        " ..." if len(label.classes) > SHOWN_VALUES else ""
    )
