"""What the columns of some files are, and whether all files agree."""

from dataclasses import replace

import pyarrow as pa

from unbroken.config import DataConfig
from unbroken.contract.selection import NO_VALUE, Selection, require_features, select_columns
from unbroken.data.footers import require_width
from unbroken.data.kinds import CATEGORY, KIND_OF_TYPE, KINDS, Kind, can_be_coded, kind_of, plurals
from unbroken.data.schema import Column
from unbroken.errors import DataError, UnfitLabelError


def choose_columns(files: dict[str, pa.Schema], config: DataConfig) -> tuple[Selection, tuple[Column, ...], Column]:
    """Return the columns that the configuration selects, the features and the label, after comparing all files by their paths.

    The columns and their order are those of the first file. The others may have them in another order and more of
    them, and a column without any value there has no type and fits all.

    Args:
        files: The Arrow schema of each file by the name that a message gives it; at least one.
        config: Which columns are asked for.

    Raises:
        DataError: A column is missing, of no kind, or of another kind than in the first file that has values of it.
    """
    for path, arrow in files.items():
        require_width(path, len(arrow), config.max_columns)
    first, arrow = next(iter(files.items()))
    selection = select_columns(first, arrow, config)
    empty = {} if config.include else {name: NO_VALUE for name in selection.features if _is_empty(name, files)}
    names = [name for name in selection.features if name not in empty or name in config.keep]
    selection = replace(selection, features=tuple(names), left_out={**selection.left_out, **empty})
    require_features(first, selection, config)
    features = tuple(_column(name, files, config, "Leave it out with data.exclude") for name in names)
    if _is_empty(selection.label, files):
        raise UnfitLabelError(f"{first}: label {selection.label}: found no value in any row")
    return selection, features, _column(selection.label, files, config, "Name another with data.label")


def _is_empty(name: str, files: dict[str, pa.Schema]) -> bool:
    """Tell whether a column has no type in any file, since it has no value there."""
    indices = {path: arrow.get_all_field_indices(name) for path, arrow in files.items()}
    return all(
        len(index) == 1 and pa.types.is_null(files[path].field(index[0]).type) for path, index in indices.items()
    )


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
    asked = config.types.get(name)
    if asked and kind != KIND_OF_TYPE.get(asked, asked):
        if asked != "text" or not can_be_coded(type):
            raise DataError(f"{path}: column {name}: found type {type}, expected {asked} as data.types says. {way_out}")
        return CATEGORY
    if name not in config.categories:
        return kind
    if not can_be_coded(type):
        raise DataError(f"{path}: column {name}: found type {type}, expected integers or text for data.categories")
    return CATEGORY
