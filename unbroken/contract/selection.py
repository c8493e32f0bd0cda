"""Which columns of a table are its features: those that the settings name, or all that can carry a meaning."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from unbroken.config import DataConfig
from unbroken.data.parquet import read_slices
from unbroken.data.schema import Column
from unbroken.data.sources import SourceFile
from unbroken.errors import DataError, UnfitLabelError

JUDGED_ROWS = 1 << 16
"""A column is judged by so many first rows."""
JUDGED_CELLS = 1 << 22
LEAST_TEXTS = 50
LEAST_INTEGERS = 200
"""Of fewer rows, nobody can tell an id from a value."""
NEARLY_ALL = 0.9
DENSE = 1.5
"""Row numbers reach at most so many times as far as there are rows: a third of them may have been dropped."""
NO_VALUE = "no value in any row"
INDEX_NAME = re.compile(r"__index_level_[0-9]+__|Unnamed: [0-9]+|")
"""How pandas names an index without a name, in Parquet and in CSV."""
ID_NAME = re.compile(
    r"(?i)(.*[_\W ])?(id|ids|uuid|guid|key|idx|index|row|rowid|row_?names?|row_?num(ber)?|no|nr|number)"
)
JOINED_ID = re.compile(r"(?i).*(id|nr|key)|.*[a-z](Number|No|Index)")


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The columns of a table by their use; `left_out` says why of each that is none by default."""

    label: str
    features: tuple[str, ...]
    left_out: Mapping[str, str]
    is_alone: bool = False
    """Whether there is one column only."""


def select_columns(path: str, arrow: pa.Schema, config: DataConfig) -> Selection:
    """Return the label and the features of a table by the settings and by its columns' names and types.

    Args:
        path: The first file, for messages.
        arrow: Its columns.
        config: What the settings say; the last column that is no index is the label where they name none.

    Raises:
        DataError: A column that the settings name is not there, or no feature is left.
    """
    named, by_name = {*config.include, *config.keep, config.label}, _by_name(arrow)
    left_out = {} if config.include else {name: why for name, why in by_name.items() if name not in named}
    columns = [name for name in arrow.names if name not in left_out]
    label = config.label or _default_label(path, arrow, by_name, config)
    wanted = config.include or tuple(name for name in columns if name != label)
    names, excluded = set(arrow.names), set(config.exclude)
    for name in (*wanted, *config.exclude, *config.keep, *config.categories, *config.types, label):
        if name not in names:
            raise DataError(f"{path}: no column {name}; found {', '.join(arrow.names)}")
    features = tuple(name for name in wanted if name not in excluded)
    left_out = {name: why for name, why in left_out.items() if name not in config.exclude}
    selection = Selection(label=label, features=features, left_out=left_out, is_alone=len(arrow) == 1)
    require_features(path, selection, config)
    return selection


def _default_label(path: str, arrow: pa.Schema, by_name: Mapping[str, str], config: DataConfig) -> str:
    """Return the last column that is no index; raise DataError if the settings call it a feature."""
    label = ([name for name in arrow.names if name not in by_name] or arrow.names)[-1]
    for setting, names in (("include", config.include), ("keep", config.keep)):
        if label in names:
            raise DataError(
                f"{path}: data.{setting} names {label}, the last column, which is predicted where data.label names none. "
                f"Name it"
            )
    return label


def require_features(path: str, selection: Selection, config: DataConfig) -> None:
    """Raise DataError if no feature is left."""
    if selection.features:
        return
    left_out = ", ".join(f"{name or '``'} ({why})" for name, why in selection.left_out.items())
    raise DataError(
        f"{path}: no feature is left; found the label {selection.label} and excluded {', '.join(config.exclude) or 'none'}"
        + (f", left out {left_out}. Name data.keep to use one" if left_out else "")
        + (". If more columns stand in a CSV file, name data.csv.delimiter" if selection.is_alone else "")
    )


def _by_name(arrow: pa.Schema) -> dict[str, str]:
    """Return the columns that a table's index is kept in, and those whose type says that they are ids."""
    metadata = arrow.pandas_metadata or {}
    stored = {name for name in metadata.get("index_columns", []) if isinstance(name, str)}
    index = [name for name in arrow.names if name in stored or INDEX_NAME.fullmatch(name)]
    ids = [field.name for field in arrow if str(field.type) == "extension<arrow.uuid>"]
    return {**dict.fromkeys(ids, "ids"), **dict.fromkeys(index, "the index of the table")}


def read_head(files: tuple[SourceFile, ...], names: list[str]) -> pa.Table:
    """Return the first rows, by which columns are judged; fewer of a table that is very wide."""
    wanted = min(JUDGED_ROWS, max(1000, JUDGED_CELLS // len(names)))
    parts: list[pa.Table] = []
    for part in read_slices(files, names):
        parts.append(pa.Table.from_batches([part.rows]))
        if sum(map(len, parts)) >= wanted:
            break
    return pa.concat_tables(parts, promote_options="permissive").slice(0, wanted)


def judge_columns(head: pa.Table, columns: tuple[Column, ...], files: tuple[SourceFile, ...]) -> dict[str, str]:
    """Return the features that carry no meaning by their first values, and why."""
    verdicts = {column.name: verdict(column, head.column(column.name), files) for column in columns}
    return {name: why for name, why in verdicts.items() if why}


def require_meaning(head: pa.Table, label: Column, files: tuple[SourceFile, ...], config: DataConfig) -> None:
    """Raise UnfitLabelError if a label that the settings do not name looks as a column does that is left out by default."""
    why = None if config.label else verdict(label, head.column(label.name), files)
    if why:
        raise UnfitLabelError(
            f"{config.source}: label {label.name}, the last column: found {why}, expected what is to be predicted"
        )


def verdict(column: Column, values: pa.ChunkedArray, files: tuple[SourceFile, ...]) -> str | None:
    """Return why a column carries no meaning by its first values; None if it may."""
    present = len(values) - _missing(values)
    if not present:
        return None if _has_value(files, column.name) else NO_VALUE
    if column.coded and pa.types.is_string(values.type) and present >= LEAST_TEXTS:
        distinct = pc.count_distinct(values).as_py()
        if distinct > NEARLY_ALL * present:
            return f"{distinct:,} different texts in {present:,} rows"
    return _verdict_on_numbers(column.name, values.drop_null()) if present >= LEAST_INTEGERS else None


def _verdict_on_numbers(name: str, values: pa.ChunkedArray) -> str | None:
    """Return why whole numbers carry no meaning, also where they are kept as floats, as beside missing ones."""
    if not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type)):
        return None
    numbers = values.to_numpy()
    numbers = numbers[~np.isnan(numbers)]
    if not np.isfinite(numbers).all() or (numbers % 1 != 0).any():
        return None
    if len(np.unique(numbers)) < len(numbers):
        return None
    if _counts_rows(numbers):
        return "row numbers"
    is_id = ID_NAME.fullmatch(name) or JOINED_ID.fullmatch(name)
    return "ids: each number comes once" if is_id else None


def _counts_rows(numbers: NDArray[Any]) -> bool:
    """Return whether different whole numbers count rows from the first on, of which some may be gone."""
    return bool(numbers[0] in (0, 1) and (np.diff(numbers) > 0).all() and np.ptp(numbers) < DENSE * len(numbers))


def _has_value(files: tuple[SourceFile, ...], name: str) -> bool:
    return any(_missing(part.column(name)) < len(part) for part in read_slices(files, [name]))


def _missing(values: pa.Array | pa.ChunkedArray) -> int:
    return pc.sum(pc.is_null(values, nan_is_null=True)).as_py() or 0
