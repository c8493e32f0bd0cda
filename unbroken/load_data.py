"""Stage 1: check a source against one column contract and list its files in a manifest."""

import re
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from unbroken import atomic, sample, source, table
from unbroken.artifact import Dataset, from_json, to_json
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
class _Footer:
    file: TableFile
    schema: pa.Schema


def load_data(config: DataConfig, run: Run) -> Dataset:
    """Write the manifest of a source after checking every footer and every label.

    A Parquet source is not copied; CSV is converted once. Raise DataError on the first thing that does not fit,
    and leave no new run behind.
    """
    with undone_if_bad(run):
        footers = [_footer(file) for file in _parquet_files(config.source, run)]
        footers = _with_partition_fields([footer for footer in footers if footer.file.rows])
        if not footers:
            raise DataError(f"{config.source}: found 0 rows, expected at least 2")
        features, label = choose_columns({footer.file.url: footer.schema for footer in footers}, config)
        files = tuple(footer.file for footer in footers)
        task, classes = infer_task(label, _label_values(files, label), config, config.source)
        schema = Schema(features=features, label=label, task=task, classes=classes)
        manifest = Manifest(fingerprint=run.fingerprint, files=files, schema=schema)
        path = run.data / "dataset.json"
        atomic.write(path, to_json(manifest, indent=1))
    return Dataset(path=str(path), digest=atomic.digest(path), rows=manifest.rows, columns=len(features))


def read_manifest(dataset: Dataset) -> Manifest:
    """Read the manifest of a loaded dataset back."""
    return from_json(Manifest, Path(dataset.path).read_bytes(), dataset.path)


def _parquet_files(data_source: str, run: Run) -> list[SourceFile]:
    if data_source == source.SAMPLE:
        path = run.data / "sample.parquet"
        sample.write(path)
        return [SourceFile(url=str(path), format="parquet")]
    files = source.find_files(data_source)
    if source.fingerprint(files, source.digests(files)) != run.fingerprint:
        raise DataError(f"{data_source}: changed while this run was starting; run the same command again")
    return [_as_parquet(file, number, run) for number, file in enumerate(files)]


def _as_parquet(file: SourceFile, number: int, run: Run) -> SourceFile:
    if file.format == "parquet":
        return file
    path = run.data / f"source-{number:05d}.parquet"
    table.convert_csv(file, path)
    return SourceFile(url=str(path), format="parquet", partition=file.partition)


def _footer(file: SourceFile) -> _Footer:
    with table.open_parquet(file.url) as parquet:
        rows = parquet.metadata.num_rows
        return _Footer(
            file=TableFile(url=file.url, rows=rows, partition=dict(file.partition)), schema=parquet.schema_arrow
        )


def _with_partition_fields(footers: list[_Footer]) -> list[_Footer]:
    names = footers[0].file.partition if footers else {}
    whole = {name: all(_is_integer(footer.file.partition[name]) for footer in footers) for name in names}
    return [_with_fields(footer, whole) for footer in footers]


def _with_fields(footer: _Footer, whole: dict[str, bool]) -> _Footer:
    # Partition columns go first, so that the last column, the default label, is one of the file's own.
    partition = {
        name: int(value) if whole[name] and value is not None else value
        for name, value in footer.file.partition.items()
    }
    fields = [pa.field(name, pa.int64() if whole[name] else pa.string()) for name in partition]
    own = [field for field in footer.schema if field.name not in partition]
    file = TableFile(url=footer.file.url, rows=footer.file.rows, partition=partition)
    return _Footer(file=file, schema=pa.schema([*fields, *own]))


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
