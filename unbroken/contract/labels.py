"""What is predicted, by the values of the label."""

from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc

from unbroken.config import DataConfig, TaskName
from unbroken.data.dataset import Slice
from unbroken.data.kinds import KINDS, as_labels, plurals
from unbroken.data.parquet import read_slices
from unbroken.data.schema import ClassValue, Column
from unbroken.data.sources import SourceFile
from unbroken.errors import DataError, UnfitLabelError

MOST_INTEGER_CLASSES = 20
MOST_CLASSES = 1000


def infer_task(
    label: Column, values: Counter[ClassValue] | None, config: DataConfig, path: str
) -> tuple[TaskName, tuple[ClassValue, ...]]:
    """Decide what is predicted, and in which order its classes are: of two, the second is the positive one.

    Args:
        label: Its name and kind.
        values: How many rows have each value; None if these are too many to be classes.
        config: Which task and which positive class are asked for.
        path: What a message names.

    Raises:
        UnfitLabelError: It has one value only, or too many texts.
        DataError: The label cannot serve what is asked for.
    """
    subject = f"{path}: label {label.name}"
    if values is None and label.coded:
        raise UnfitLabelError(f"{subject}: found more than {MOST_CLASSES} distinct texts, expected classes")
    classes = tuple(sorted(values or ()))
    if len(classes) == 1:
        raise UnfitLabelError(f"{subject}: found only the value {classes[0]!r}, expected at least two to learn from")
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
    if config.positive is not None and task != "binary":
        raise DataError(f"{subject}: found {task}, expected two classes for data.positive {config.positive!r}")
    if task == "binary":
        classes = _negative_first(classes, values or Counter(), label, config.positive, subject)
    return task, () if task == "regression" else classes


def _negative_first(
    classes: tuple[ClassValue, ...], counts: Counter[ClassValue], label: Column, positive: str | None, subject: str
) -> tuple[ClassValue, ...]:
    if positive is not None:
        named = [_is_named(value, positive) for value in classes]
        if not any(named):
            names = " or ".join(repr(str(value)) for value in classes)
            raise DataError(f"{subject}: data.positive: found {positive!r}, expected {names}")
        return classes if named[1] else classes[::-1]
    first, second = classes
    return (second, first) if label.coded and counts[first] < counts[second] else classes


def _is_named(value: ClassValue, positive: str) -> bool:
    """Return whether a text names a class: 1 names 1.0 and true too, as other files may write it."""
    if str(value) == positive:
        return True
    number = {"True": 1.0, "False": 0.0}.get(positive)
    if number is None:
        try:
            number = float(positive)
        except ValueError:
            return False
    return not isinstance(value, str) and float(value) == number


def require_label(label: Column, path: str) -> None:
    """Raise UnfitLabelError if a column is of a kind that cannot be predicted."""
    if not KINDS[label.kind].label:
        expected = plurals([kind for kind in KINDS.values() if kind.label])
        raise UnfitLabelError(f"{path}: label {label.name}: found a {label.kind}, expected {expected}")


def _automatic_task(label: Column, classes: tuple[ClassValue, ...]) -> TaskName:
    if len(classes) == 2:
        return "binary"
    if label.coded:
        return "multiclass"
    whole = all(float(value).is_integer() for value in classes)
    return "multiclass" if whole and 2 < len(classes) <= MOST_INTEGER_CLASSES else "regression"


def alike_classes(classes: tuple[ClassValue, ...]) -> tuple[ClassValue, ...]:
    """Return the texts among classes that differ from another in spaces or capital letters alone."""
    plain = [str(value).strip().casefold() for value in classes]
    return tuple(value for value, text in zip(classes, plain, strict=True) if plain.count(text) > 1)


def label_values(
    files: list[SourceFile], label: Column, config: DataConfig
) -> tuple[Counter[ClassValue] | None, Counter[str]]:
    """Return how many rows have each label, None if there are more than MOST_CLASSES, and how many of each file have none.

    Raises:
        UnfitLabelError: All are missing.
        DataError: One is missing where the settings refuse that, or is infinite.
    """
    values: Counter[ClassValue] | None = Counter()
    unlabelled: Counter[str] = Counter()
    for part in read_slices(files, [label.name]):
        labels = as_labels(part.column(label.name), label.name, part.subject)
        missing = pc.is_null(labels, nan_is_null=True)
        _reject(labels, label, part, missing if config.null_labels == "refuse" else None)
        if pc.any(missing).as_py():
            unlabelled[part.file.url] += pc.sum(missing).as_py()
            labels = labels.filter(pc.invert(missing))
        if values is not None:
            values.update({pair["values"]: pair["counts"] for pair in pc.value_counts(labels).to_pylist()})
            values = values if len(values) <= MOST_CLASSES else None
    if values is not None and not values:
        raise UnfitLabelError(f"{files[0].name}: label {label.name}: found no value in any row")
    return values, unlabelled


def _reject(labels: pa.Array, label: Column, part: Slice, missing: pa.Array | None) -> None:
    bad = pa.repeat(False, len(labels)) if missing is None else missing
    if pa.types.is_floating(labels.type):
        bad = pc.or_(bad, pc.is_inf(pc.fill_null(labels, 0.0)))
    if pc.any(bad).as_py():
        row = pc.index(bad, True).as_py()
        raise DataError(
            f"{part.subject(label.name, row)}: found {labels[row]}, expected a label in every row. "
            f"Drop such rows from the source"
        )
