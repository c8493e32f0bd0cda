"""Stage 1: check a source against one column contract and list its files in a manifest."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from unbroken import atomic, sample, source, table
from unbroken.artifact import Dataset, from_json, to_json, verify
from unbroken.config import DataConfig
from unbroken.errors import DataError
from unbroken.run import Run, undone_if_bad
from unbroken.scaler import as_labels
from unbroken.schema import MOST_CLASSES, ClassValue, Column, Schema, choose_columns, infer_task
from unbroken.source import SourceFile
from unbroken.table import Manifest, Slice, TableFile

INTEGER = re.compile(r"-?[0-9]{1,18}")
"""A partition value that is a number: its folder's name has no type."""


@dataclass(frozen=True, kw_only=True)
class Footer:
    """What is known of a file without reading its rows; its partition columns are part of the schema."""

    file: TableFile
    schema: pa.Schema


def load_data(config: DataConfig, run: Run) -> Dataset:
    """Write the manifest of a source after checking every footer and every label.

    A Parquet source is not copied; CSV is converted once. Raise DataError on the first thing that does not fit,
    and leave no new run behind.
    """
    with undone_if_bad(run):
        manifest = check(read_footers(_parquet_files(config.source, run)), config, run.fingerprint)
        path = run.data / "dataset.json"
        atomic.write(path, to_json(manifest, indent=1))
    return Dataset(
        path=str(path), digest=atomic.digest(path), rows=manifest.rows, columns=len(manifest.schema.features)
    )


def check(footers: list[Footer], config: DataConfig, fingerprint: str) -> Manifest:
    """Return the manifest of some files after checking every footer and every label; raise DataError."""
    if not footers:
        raise DataError(f"{config.source}: found 0 rows, expected at least 2")
    features, label = choose_columns({footer.file.name: footer.schema for footer in footers}, config)
    files = tuple(footer.file for footer in footers)
    task, classes = infer_task(label, _label_values(files, label), config, config.source)
    return Manifest(
        fingerprint=fingerprint, files=files, schema=Schema(features=features, label=label, task=task, classes=classes)
    )


def read_footers(files: list[SourceFile]) -> list[Footer]:
    """Read the footers of Parquet files, those without rows left out; their partition columns get types."""
    footers = [_footer(file) for file in files]
    return _with_partition_fields([footer for footer in footers if footer.file.rows])


def read_manifest(dataset: Dataset) -> Manifest:
    """Read the manifest of a loaded dataset back; raise DataError if it is not the one that was written."""
    verify(dataset)
    return from_json(Manifest, Path(dataset.path).read_bytes(), dataset.path)


def _parquet_files(data_source: str, run: Run) -> list[SourceFile]:
    if data_source == source.SAMPLE:
        path = run.data / "sample.parquet"
        sample.write(path)
        return [SourceFile(url=str(path), format="parquet")]
    files = source.find_files(data_source)
    if source.fingerprint(files, source.digests(files)) != run.fingerprint:
        raise DataError(f"{data_source}: changed while this run was starting; run the same command again")
    return [as_parquet(file, run.data / f"source-{number:05d}.parquet") for number, file in enumerate(files)]


def as_parquet(file: SourceFile, path: Path, texts: Iterable[str] = ()) -> SourceFile:
    """Return a file as it is if it is Parquet, else its copy at the path; the columns `texts` of a CSV stay text."""
    if file.format == "parquet":
        return file
    table.convert_csv(file, path, texts)
    return SourceFile(url=str(path), format="parquet", partition=file.partition, origin=file.url)


def _footer(file: SourceFile) -> Footer:
    with table.open_parquet(file.url) as parquet:
        rows = parquet.metadata.num_rows
        return Footer(
            file=TableFile(url=file.url, rows=rows, partition=dict(file.partition), origin=file.origin),
            schema=parquet.schema_arrow,
        )


def _with_partition_fields(footers: list[Footer]) -> list[Footer]:
    names = footers[0].file.partition if footers else {}
    whole = {name: all(_is_integer(footer.file.partition[name]) for footer in footers) for name in names}
    return [_with_fields(footer, whole) for footer in footers]


def _with_fields(footer: Footer, whole: dict[str, bool]) -> Footer:
    # Partition columns go first, so that the last column, the default label, is one of the file's own.
    partition = {
        name: int(value) if whole[name] and value is not None else value
        for name, value in footer.file.partition.items()
    }
    fields = [pa.field(name, pa.int64() if whole[name] else pa.string()) for name in partition]
    own = [field for field in footer.schema if field.name not in partition]
    file = replace(footer.file, partition=partition)
    return Footer(file=file, schema=pa.schema([*fields, *own]))


def _is_integer(value: str | int | None) -> bool:
    return value is None or INTEGER.fullmatch(str(value)) is not None


def _label_values(files: tuple[TableFile, ...], label: Column) -> set[ClassValue] | None:
    """Return the distinct labels, None if there are more than MOST_CLASSES; raise DataError on a missing one."""
    values: set[ClassValue] | None = set()
    for part in table.read(files, [label.name]):
        labels = as_labels(part.column(label.name), label.name, part.subject)
        _reject_missing(labels, label, part)
        if values is not None:
            values.update(pc.unique(labels).to_pylist())
            values = values if len(values) <= MOST_CLASSES else None
    return values


def _reject_missing(labels: pa.Array, label: Column, part: Slice) -> None:
    missing = pc.is_null(labels, nan_is_null=True)
    if pa.types.is_floating(labels.type):
        missing = pc.or_(missing, pc.invert(pc.is_finite(pc.fill_null(labels, 0.0))))
    if pc.any(missing).as_py():
        place = pc.index(missing, True).as_py()
        raise DataError(
            f"{part.subject(label.name, place)}: found {labels[place]}, expected a label in every row. "
            f"Drop such rows from the source"
        )
