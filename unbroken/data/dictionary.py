"""Arrow's dictionary encoding taken off: types, fields and columns of plain values."""

import pyarrow as pa


def value_type(type: pa.DataType) -> pa.DataType:
    """Return the type of a dictionary's values, or the type itself."""
    return type.value_type if pa.types.is_dictionary(type) else type


def decode_field(field: pa.Field) -> pa.Field:
    """Return the field of a column's plain values."""
    return pa.field(field.name, value_type(field.type))


def decode_column(column: pa.Array) -> pa.Array:
    """Return the plain values of a column."""
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def decode_batch(rows: pa.RecordBatch) -> pa.RecordBatch:
    """Return rows with the plain values of every column."""
    return pa.RecordBatch.from_arrays([decode_column(column) for column in rows.columns], names=rows.schema.names)
