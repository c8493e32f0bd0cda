"""Columns as plain values: dictionaries and extension types taken off, texts of any Arrow type as strings."""

import pyarrow as pa


def is_text(type: pa.DataType) -> bool:
    """Tell whether values of an Arrow type are texts."""
    return pa.types.is_string(type) or pa.types.is_large_string(type) or pa.types.is_string_view(type)


def value_type(type: pa.DataType) -> pa.DataType:
    """Return the type of a column's plain values."""
    values = type.value_type if pa.types.is_dictionary(type) else type
    if isinstance(values, pa.BaseExtensionType):
        return pa.bool_() if values.extension_name == "arrow.bool8" else value_type(values.storage_type)
    if pa.types.is_decimal32(values) or pa.types.is_decimal64(values):
        return pa.decimal128(values.precision, values.scale)  # the narrow ones cannot be compared
    return pa.string() if is_text(values) else values


def decode_field(field: pa.Field) -> pa.Field:
    """Return the field of a column's plain values."""
    return pa.field(field.name, value_type(field.type))


def decode_column(column: pa.Array) -> pa.Array:
    """Return the plain values of a column."""
    values = value_type(column.type)
    if pa.types.is_dictionary(column.type):
        return pa.DictionaryArray.from_arrays(column.indices, column.dictionary.cast(values)).dictionary_decode()
    plain = column.storage if isinstance(column, pa.ExtensionArray) else column
    return plain if plain.type == values else plain.cast(values)


def decode_batch(rows: pa.RecordBatch) -> pa.RecordBatch:
    """Return rows with the plain values of every column."""
    return pa.RecordBatch.from_arrays([decode_column(column) for column in rows.columns], names=rows.schema.names)
