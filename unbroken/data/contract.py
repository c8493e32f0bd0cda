"""The column contract: what each column is, what is predicted, and whether every file agrees."""

import pyarrow as pa
import pyarrow.compute as pc

from unbroken.config import DataConfig, TaskName
from unbroken.data.dataset import Manifest, Slice
from unbroken.data.footers import Footer
from unbroken.data.kinds import CATEGORY, KINDS, Kind, as_labels, can_be_coded, kind_of, plurals
from unbroken.data.parquet import read_slices
from unbroken.data.schema import ClassValue, Column, Schema
from unbroken.data.sources import SourceFile
from unbroken.errors import DataError

MOST_INTEGER_CLASSES = 20
MOST_CLASSES = 1000


def choose_columns(files: dict[str, pa.Schema], config: DataConfig) -> tuple[tuple[Column, ...], Column]:
    """Return the feature columns and the label that the configuration selects, after comparing all files by their paths.

    The columns and their order are those of the first file. The others may have them in another order and more of
    them, and a column without any value there has no type and fits all.

    Args:
        files: The Arrow schema of each file by the name that a message gives it; at least one.
        config: Which columns are asked for.

    Raises:
        DataError: A column is missing, of no kind, or of another kind than in the first file that has values of it.
    """
    first, arrow = next(iter(files.items()))
    label = config.label or arrow.names[-1]
    names = config.include or tuple(name for name in arrow.names if name != label)
    for name in (*names, *config.exclude, *config.categories, label):
        if name not in arrow.names:
            raise DataError(f"{first}: no column {name}; found {', '.join(arrow.names)}")
    features = tuple(name for name in names if name not in config.exclude)
    if not features:
        raise DataError(
            f"{first}: no feature is left; found the label {label} and excluded {', '.join(config.exclude) or 'none'}"
        )
    columns = tuple(_column(name, files, config, "Leave it out with data.exclude") for name in features)
    return columns, _column(label, files, config, "Name another with data.label")


def _column(name: str, files: dict[str, pa.Schema], config: DataConfig, way_out: str) -> Column:
    """Return a column that has the same kind in every file that has values of it."""
    first: tuple[str, Kind] | None = None
    for path, arrow in files.items():
        indices = arrow.get_all_field_indices(name)
        if len(indices) != 1:
            raise DataError(
                f"{path}: column {name}: found it {len(indices)} times, expected once as in {next(iter(files))}. "
                f"Found {', '.join(arrow.names)}"
            )
        type = arrow.field(indices[0]).type
        if pa.types.is_null(type):
            continue
        kind = _kind(name, type, config, path, way_out)
        if first is not None and kind != first[1]:
            raise DataError(f"{path}: column {name}: found {kind} ({type}), expected {first[1]} as in {first[0]}")
        first = first or (path, kind)
    if first is None:
        raise DataError(f"{next(iter(files))}: column {name}: found no value in any file. {way_out}")
    return Column(name=name, kind=first[1])


def _kind(name: str, type: pa.DataType, config: DataConfig, path: str, way_out: str) -> Kind:
    kind = kind_of(type)
    if kind is None:
        raise DataError(
            f"{path}: column {name}: found type {type}, expected {plurals(list(KINDS.values()))}. {way_out}"
        )
    if name not in config.categories:
        return kind
    if not can_be_coded(type):
        raise DataError(f"{path}: column {name}: found type {type}, expected integers or text for data.categories")
    return CATEGORY


def infer_task(
    label: Column, values: set[ClassValue] | None, config: DataConfig, path: str
) -> tuple[TaskName, tuple[ClassValue, ...]]:
    """Decide what is predicted, and the classes in order.

    Args:
        label: The label's column.
        values: Its distinct values; None if there are too many to be classes.
        config: Which task is asked for.
        path: The source, for messages.

    Raises:
        DataError: The label cannot serve that task.
    """
    subject = f"{path}: label {label.name}"
    if not KINDS[label.kind].label:
        expected = plurals([kind for kind in KINDS.values() if kind.label])
        raise DataError(f"{subject}: found a {label.kind}, expected {expected}")
    if values is None and label.coded:
        raise DataError(f"{subject}: found more than {MOST_CLASSES} distinct texts, expected classes")
    classes = tuple(sorted(values or ()))
    if len(classes) == 1:
        raise DataError(f"{subject}: found only the value {classes[0]!r}, expected at least two to learn from")
    task = _automatic_task(label, classes) if config.task == "auto" else config.task
    count = len(classes) or f"more than {MOST_CLASSES}"
    if task == "regression" and label.coded:
        raise DataError(f"{subject}: found text, expected numbers for data.task regression")
    if task == "binary" and len(classes) != 2:
        raise DataError(f"{subject}: found {count} distinct values, expected 2 for data.task binary")
    if task == "multiclass" and not 2 <= len(classes) <= MOST_CLASSES:
        raise DataError(
            f"{subject}: found {count} distinct values, expected 2 .. {MOST_CLASSES} for data.task multiclass"
        )
    return task, () if task == "regression" else classes


def _automatic_task(label: Column, classes: tuple[ClassValue, ...]) -> TaskName:
    if len(classes) == 2:
        return "binary"
    if label.coded:
        return "multiclass"
    integers = all(float(value).is_integer() for value in classes)
    return "multiclass" if integers and 2 < len(classes) <= MOST_INTEGER_CLASSES else "regression"


def check_contract(footers: list[Footer], config: DataConfig, fingerprint: str) -> Manifest:
    """Return the manifest of files after checking every footer and every label.

    Args:
        footers: Those of the files that have rows, in order.
        config: Which columns are asked for; its source is what a message names where there is no file.
        fingerprint: The SHA-256 that names the files' content.

    Raises:
        DataError: There are no rows, a file differs from the others, or a label is missing or of no use.
    """
    if not footers:
        raise DataError(f"{config.source}: found 0 rows, expected at least 2")
    features, label = choose_columns({footer.file.name: footer.schema for footer in footers}, config)
    files = tuple(footer.file for footer in footers)
    task, classes = infer_task(label, _label_values(files, label), config, config.source)
    schema = Schema(features=features, label=label, task=task, classes=classes)
    return Manifest(fingerprint=fingerprint, files=files, rows=sum(footer.rows for footer in footers), schema=schema)


def _label_values(files: tuple[SourceFile, ...], label: Column) -> set[ClassValue] | None:
    """Return the distinct labels, None if there are more than MOST_CLASSES; raise DataError on a missing one."""
    values: set[ClassValue] | None = set()
    for part in read_slices(files, [label.name]):
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
        row = pc.index(missing, True).as_py()
        raise DataError(
            f"{part.subject(label.name, row)}: found {labels[row]}, expected a label in every row. "
            f"Drop such rows from the source"
        )
