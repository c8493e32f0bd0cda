"""The column contract: what each column is, what is predicted, and whether every file agrees."""

from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from unbroken.config import DataConfig, TaskName
from unbroken.errors import DataError

Kind = Literal["number", "boolean", "category", "timestamp", "date"]
ClassValue = bool | int | float | str

MOST_INTEGER_CLASSES = 20
MOST_CLASSES = 1000


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of the source."""

    name: str
    kind: Kind


@dataclass(frozen=True, kw_only=True)
class Schema:
    """The features in order, the label, and what is predicted; `classes` is empty for regression."""

    features: tuple[Column, ...]
    label: Column
    task: TaskName
    classes: tuple[ClassValue, ...]


def kind_of(type: pa.DataType) -> Kind | None:
    """Return how a column of an Arrow type is treated, or None if it cannot be used."""
    if pa.types.is_dictionary(type):
        return kind_of(type.value_type)
    if pa.types.is_boolean(type):
        return "boolean"
    if pa.types.is_integer(type) or pa.types.is_floating(type) or pa.types.is_decimal(type):
        return "number"
    if pa.types.is_string(type) or pa.types.is_large_string(type) or pa.types.is_string_view(type):
        return "category"
    if pa.types.is_timestamp(type):
        return "timestamp"
    return "date" if pa.types.is_date(type) else None


def choose_columns(files: dict[str, pa.Schema], config: DataConfig) -> tuple[tuple[Column, ...], Column]:
    """Return the feature columns and the label that the configuration selects, after comparing all files by their paths.

    The columns and their order are those of the first file. The others may have them in another order and more of
    them, and a column without any value there has no type and fits all. Raise DataError on the first that differs.
    """
    first, arrow = next(iter(files.items()))
    label = config.label or arrow.names[-1]
    wanted = config.include or tuple(name for name in arrow.names if name != label)
    for name in (*wanted, *config.exclude, *config.categories, label):
        if name not in arrow.names:
            raise DataError(f"{first}: no column {name}; found {', '.join(arrow.names)}")
    names = tuple(name for name in wanted if name not in config.exclude)
    if not names:
        raise DataError(
            f"{first}: no feature is left; found the label {label} and excluded {', '.join(config.exclude) or 'none'}"
        )
    way_out = "Name another with data.label"
    features = tuple(_column(name, files, config, "Leave it out with data.exclude") for name in names)
    return features, _column(label, files, config, way_out)


def _column(name: str, files: dict[str, pa.Schema], config: DataConfig, way_out: str) -> Column:
    """Return a column that has the same kind in every file that has values of it."""
    known: tuple[str, Kind] | None = None
    for path, arrow in files.items():
        places = arrow.get_all_field_indices(name)
        if len(places) != 1:
            raise DataError(
                f"{path}: column {name}: found it {len(places)} times, expected once as in {next(iter(files))}. "
                f"Found {', '.join(arrow.names)}"
            )
        type = arrow.field(places[0]).type
        if pa.types.is_null(type):
            continue
        kind = _kind(name, type, config, path, way_out)
        if known is not None and kind != known[1]:
            raise DataError(f"{path}: column {name}: found {kind} ({type}), expected {known[1]} as in {known[0]}")
        known = known or (path, kind)
    if known is None:
        raise DataError(f"{next(iter(files))}: column {name}: found no value in any file. {way_out}")
    return Column(name=name, kind=known[1])


def _kind(name: str, type: pa.DataType, config: DataConfig, path: str, way_out: str) -> Kind:
    kind = kind_of(type)
    if kind is None:
        raise DataError(
            f"{path}: column {name}: found type {type}, expected numbers, booleans, text, timestamps or dates. {way_out}"
        )
    if name not in config.categories:
        return kind
    if not (pa.types.is_integer(type) or kind in ("category", "boolean")):
        raise DataError(f"{path}: column {name}: found type {type}, expected integers or text for data.categories")
    return "category"


def infer_task(
    label: Column, values: set[ClassValue] | None, config: DataConfig, path: str
) -> tuple[TaskName, tuple[ClassValue, ...]]:
    """Decide what is predicted from the label's kind and its distinct values (None: too many to be classes).

    Raise DataError if the label cannot serve the task that the configuration asks for.
    """
    subject = f"{path}: label {label.name}"
    if label.kind in ("timestamp", "date"):
        raise DataError(f"{subject}: found a {label.kind}, expected numbers, booleans or text")
    if values is None and label.kind == "category":
        raise DataError(f"{subject}: found more than {MOST_CLASSES} distinct texts, expected classes")
    classes = tuple(sorted(values or ()))
    if len(classes) == 1:
        raise DataError(f"{subject}: found only the value {classes[0]!r}, expected at least two to learn from")
    task = _automatic_task(label, classes) if config.task == "auto" else config.task
    count = len(classes) or f"more than {MOST_CLASSES}"
    if task == "regression" and label.kind == "category":
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
    if label.kind == "category":
        return "multiclass"
    whole = all(float(value).is_integer() for value in classes)
    return "multiclass" if whole and 2 < len(classes) <= MOST_INTEGER_CLASSES else "regression"
