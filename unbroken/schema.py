"""The column contract: what each column is, what is predicted, and whether every file agrees."""

from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from unbroken.config import DataConfig, TaskName
from unbroken.errors import DataError

Kind = Literal["number", "boolean", "category", "timestamp", "date"]
ClassValue = bool | int | float | str

MOST_INTEGER_CLASSES = 20


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
    """Return how a column of an Arrow type is treated, or None if it cannot be a feature."""
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


def choose_columns(arrow: pa.Schema, config: DataConfig, path: str) -> tuple[tuple[Column, ...], Column]:
    """Return the feature columns and the label column of a file, as the configuration selects them."""
    _reject_duplicates(arrow.names, path)
    label = config.label or arrow.names[-1]
    wanted = config.include or tuple(name for name in arrow.names if name != label)
    named = [*wanted, *config.exclude, *config.categories, label]
    if missing := [name for name in named if name not in arrow.names]:
        raise DataError(f"{path}: no column {', '.join(missing)}; found {', '.join(arrow.names)}")
    features = tuple(_column(arrow.field(name), config, path) for name in wanted if name not in config.exclude)
    if not features:
        raise DataError(f"{path}: no feature is left; found the label {label} and excluded {', '.join(config.exclude)}")
    return features, _column(arrow.field(label), config, path)


def check_same_columns(arrow: pa.Schema, columns: list[Column], config: DataConfig, path: str, first: str) -> None:
    """Raise DataError unless a file has all the columns, of the same kinds as the first file; the order may differ."""
    _reject_duplicates(arrow.names, path)
    for column in columns:
        if column.name not in arrow.names:
            raise DataError(f"{path}: column {column.name} is missing; {first} has it. Found {', '.join(arrow.names)}")
        found = _column(arrow.field(column.name), config, path).kind
        if found != column.kind:
            raise DataError(f"{path}: column {column.name}: found {found}, expected {column.kind} as in {first}")


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
        raise DataError(f"{subject}: too many distinct texts to be classes")
    classes = tuple(sorted(values or ()))
    if values is not None and len(classes) < 2 and config.task != "regression":
        raise DataError(f"{subject}: found only the value {classes[0]!r}, expected at least two to learn from")
    task = _automatic_task(label, classes) if config.task == "auto" else config.task
    if task == "regression" and label.kind == "category":
        raise DataError(f"{subject}: found text, expected numbers for regression")
    if task == "binary" and len(classes) != 2:
        raise DataError(
            f"{subject}: found {len(classes) or 'too many'} distinct values, expected 2 for data.task binary"
        )
    if task == "multiclass" and not classes:
        raise DataError(f"{subject}: too many distinct values for data.task multiclass")
    return task, () if task == "regression" else classes


def _automatic_task(label: Column, classes: tuple[ClassValue, ...]) -> TaskName:
    if len(classes) == 2:
        return "binary"
    if label.kind == "category":
        return "multiclass"
    whole = all(float(value).is_integer() for value in classes)
    return "multiclass" if whole and 2 < len(classes) <= MOST_INTEGER_CLASSES else "regression"


def _column(field: pa.Field, config: DataConfig, path: str) -> Column:
    kind = kind_of(field.type)
    if kind is None:
        raise DataError(
            f"{path}: column {field.name}: found type {field.type}, expected numbers, booleans, text, timestamps or dates. "
            f"Leave it out with data.exclude"
        )
    if field.name in config.categories:
        integer = pa.types.is_integer(field.type) or kind in ("category", "boolean")
        if not integer:
            raise DataError(
                f"{path}: column {field.name}: found type {field.type}, expected integers or text for data.categories"
            )
        kind = "category"
    return Column(name=field.name, kind=kind)


def _reject_duplicates(names: list[str], path: str) -> None:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"{path}: found column {', '.join(twice)} more than once; expected each name once")
