"""Rows by what a training learnt: a column that later rows keep as another type is of the kind it always was.

Writers choose types by the values at hand: a month of codes that are all digits comes as integers, a column without any
value has no type, dates come as text.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from unbroken.data.dictionary import decode_field
from unbroken.data.footers import Footer
from unbroken.data.kinds import CATEGORY, KINDS, Kind, Subject, as_texts, can_be_coded, kind_of
from unbroken.data.parquet import Writer, read_slices
from unbroken.errors import DataError

ALIKE = ({"number", "boolean"}, {"date", "timestamp"})
"""Kinds of which the values of one can be those of the other."""


def by_learnt_kinds(
    footers: list[Footer], kinds: Mapping[str, Kind], settled: Collection[str], folder: Path
) -> list[Footer]:
    """Return files as they are if their columns are of the kinds that were learnt, else as copies that are.

    Args:
        footers: Those of the files.
        kinds: The kinds of columns.
        settled: Columns of which the settings say what they are; these have a kind of their own wherever they have values.
        folder: Where copies go, numbered in the order of the files.

    Raises:
        DataError: A value is none of the kind of its column.
    """
    return [
        _converted(footer, names, kinds, folder / f"{number:05d}.learnt.parquet")
        if (names := _differing(footer, kinds, settled))
        else footer
        for number, footer in enumerate(footers)
    ]


def as_kind(column: pa.Array, name: str, kind: Kind, subject: Subject) -> pa.Array:
    """Return a column as values of a kind.

    Args:
        column: The values, dictionaries decoded; text is read as the kind that is meant.
        name: Their name, for messages.
        kind: What they are.
        subject: Names a row in a message.

    Raises:
        DataError: A value is none of that kind, or would lose a part of itself.
    """
    type, plain = column.type, KINDS[kind].plain
    own = kind_of(type)
    if own == kind:
        return column
    if pa.types.is_null(type):
        return pa.nulls(len(column), plain)
    if kind == CATEGORY and can_be_coded(type):
        return as_texts(column, name, subject)
    if CATEGORY not in (own, kind) and {own, kind} not in ALIKE:
        raise DataError(f"{subject(name, 0)} or below: found {type}, expected a {kind} as in training")
    try:
        values = column.cast(plain)
        lossless = own == CATEGORY or values.cast(type).equals(column)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(
            f"{subject(name, 0)} or below: found {type}, expected a {kind} as in training: {error}"
        ) from error
    if not lossless:
        raise DataError(f"{subject(name, 0)} or below: found {type}, expected a {kind} as in training")
    return values


def _differing(footer: Footer, kinds: Mapping[str, Kind], settled: Collection[str]) -> list[str]:
    own = [field for field in footer.schema if field.name in kinds and field.name not in footer.file.partition]
    return [
        field.name
        for field in own
        if pa.types.is_null(field.type) or (field.name not in settled and kind_of(field.type) != kinds[field.name])
    ]


def _converted(footer: Footer, names: list[str], kinds: Mapping[str, Kind], path: Path) -> Footer:
    file = footer.file
    fields = [decode_field(field) for field in footer.schema if field.name not in file.partition]
    types = {name: KINDS[kinds[name]].plain for name in names}
    schema = pa.schema([field.with_type(types.get(field.name, field.type)) for field in fields])
    with Writer(path, schema) as writer:
        for part in read_slices([replace(file, partition={})], schema.names):
            columns = [
                as_kind(part.column(name), name, kinds[name], part.subject) if name in types else part.column(name)
                for name in schema.names
            ]
            writer.write(pa.RecordBatch.from_arrays(columns, schema=schema))
    partition = [field for field in footer.schema if field.name in file.partition]
    copy = replace(file, url=str(path), origin=file.name, digest=writer.dataset().digest)
    return replace(footer, file=copy, schema=pa.schema([*partition, *schema], metadata=footer.schema.metadata))
