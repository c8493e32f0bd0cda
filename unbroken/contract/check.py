"""Check some files against one contract and say what is in it."""

import logging
import shlex
from collections import Counter
from dataclasses import replace

import pyarrow as pa

from unbroken.config import DataConfig
from unbroken.contract.columns import choose_columns
from unbroken.contract.constants import find_constants
from unbroken.contract.labels import alike_classes, infer_task, label_values, require_label
from unbroken.contract.leaks import Leak, find_leaks, suspicion
from unbroken.contract.overview import SHOWN_COLUMNS, overview
from unbroken.contract.selection import NO_VALUE, Selection, judge_columns, read_head, require_features, require_meaning
from unbroken.contract.suggestion import other_label
from unbroken.data.dataset import Manifest
from unbroken.data.footers import Footer
from unbroken.data.schema import Column, Schema
from unbroken.data.sources import SourceFile
from unbroken.errors import DataError, UnfitLabelError

log = logging.getLogger(__name__)


def check_contract(footers: list[Footer], config: DataConfig, fingerprint: str) -> Manifest:
    """Return the manifest of files after checking every footer and every label, and say what is in it.

    Args:
        footers: Those of the files that have rows, in order.
        config: Which columns are asked for; its source is what a message names where there is no file.
        fingerprint: The SHA-256 that names the files' content.

    Raises:
        DataError: There are no rows, a file differs from the others, or a label is missing or of no use.
    """
    if not footers:
        raise DataError(f"{config.source}: found 0 rows, expected at least 2")
    try:
        return _check(footers, config, fingerprint)
    except UnfitLabelError as error:
        other = other_label(footers, config)
        example = f", such as --data.label {shlex.quote(other)}" if other else ""
        raise DataError(f"{error}. Name another with data.label{example}") from error


def _check(footers: list[Footer], config: DataConfig, fingerprint: str) -> Manifest:
    selection, features, label = choose_columns({footer.file.name: footer.schema for footer in footers}, config)
    require_label(label, config.source)
    values, unlabelled = label_values([footer.file for footer in footers], label, config)
    files = tuple(_with_labels(footer.file, label, unlabelled) for footer in footers)
    head = read_head(files, [*(column.name for column in features), label.name, *_shown(selection, footers)])
    task, classes = infer_task(label, values, config, config.source)
    require_meaning(head, label, files, config)
    if not config.include:
        ids = judge_columns(_unfiltered(head, footers, unlabelled), _judged(features, config), files)
        features, selection = _leave_out(head, ids, features, selection, files, config)
    schema = Schema(features=features, label=label, task=task, classes=classes)
    rows = sum(footer.rows for footer in footers) - unlabelled.total()
    leaks = find_leaks(head, schema)
    manifest = Manifest(
        fingerprint=fingerprint,
        files=files,
        rows=rows,
        schema=schema,
        left_out={**selection.left_out, **dict.fromkeys(config.exclude, "data.exclude")},
        leaks={leak.column: leak.evidence for leak in leaks},
    )
    _say(manifest, head, selection, unlabelled, leaks, config)
    return manifest


def _judged(features: tuple[Column, ...], config: DataConfig) -> tuple[Column, ...]:
    return tuple(column for column in features if column.name not in config.keep)


def _unfiltered(head: pa.Table, footers: list[Footer], unlabelled: Counter[str]) -> pa.Table:
    """Return the first rows with those that have no label: row numbers have gaps without them."""
    return read_head(tuple(footer.file for footer in footers), head.column_names) if unlabelled else head


def _leave_out(
    head: pa.Table,
    meaningless: dict[str, str],
    features: tuple[Column, ...],
    selection: Selection,
    files: tuple[SourceFile, ...],
    config: DataConfig,
) -> tuple[tuple[Column, ...], Selection]:
    judged, named = _judged(features, config), {*config.categories, *config.types}
    constants = find_constants(head, [column for column in judged if column.name not in meaningless], files)
    verdicts = {**meaningless, **constants}
    reasons = {name: why for name, why in verdicts.items() if name not in named or why == NO_VALUE}
    kept = tuple(column for column in features if column.name not in reasons)
    names = tuple(column.name for column in kept)
    selection = replace(selection, features=names, left_out={**selection.left_out, **reasons})
    require_features(files[0].name, selection, config)
    return kept, selection


def _shown(selection: Selection, footers: list[Footer]) -> list[str]:
    """Return the columns that are left out by name and can be read, so that an example of each can be shown."""
    names = [name for name in selection.left_out if all(name in footer.schema.names for footer in footers)]
    return [name for name in names if name not in (*selection.features, selection.label)][:SHOWN_COLUMNS]


def _with_labels(file: SourceFile, label: Column, unlabelled: Counter[str]) -> SourceFile:
    return replace(file, labelled_by=label.name) if unlabelled[file.url] else file


def _say(
    manifest: Manifest,
    head: pa.Table,
    selection: Selection,
    unlabelled: Counter[str],
    leaks: list[Leak],
    config: DataConfig,
) -> None:
    for name, why in selection.left_out.items():
        log.info("left out: %r: %s. Name it in data.keep to use it", name, why)
    if count := unlabelled.total():
        log.warning(
            "%s: %s of %s rows have no %s and do not train (data.null_labels)",
            *(config.source, f"{count:,}", f"{count + manifest.rows:,}", manifest.schema.label.name),
        )
    if alike := alike_classes(manifest.schema.classes):
        log.warning(
            "%s: label %s: %s differ in spaces or capital letters alone, and are classes of their own",
            *(config.source, manifest.schema.label.name, ", ".join(map(repr, alike))),
        )
    for leak in leaks:
        log.warning("%s: %s", config.source, suspicion(leak.column, leak.evidence))
    first, *lines = overview(head, manifest.schema, manifest.rows, manifest.left_out)
    log.info("%s: %s", config.source, first)
    for line in lines:
        log.info("%s", line)
