"""Bad columns, values and labels."""

import datetime
import math
from decimal import Decimal
from typing import Any

import pyarrow as pa

from tests.unit.bad.cases import (
    CSV,
    GOOD,
    ROWS,
    Case,
    Source,
    content,
    data,
    split,
    table,
    tables,
    with_label,
)
from tests.unit.stages import HALVES, hundred

NESTED = {"a list": [[1]] * 100, "a struct": [{"a": 1}] * 100, "bytes": [b"a"] * 100}

COLUMNS = {
    **{
        f"{name} as a feature": data(("a.parquet: column x: found type", "data.exclude"), table(hundred(values)))
        for name, values in NESTED.items()
    },
    "a map as a feature": data(
        "found type map", table(hundred(pa.array([[("a", 1)]] * 100, pa.map_(pa.string(), pa.int8()))))
    ),
    "a time of day as a category": data(
        "column x: found type time64", table(hundred([datetime.time(12)] * 100)), categories=("x",)
    ),
    "a duration as a label": data(
        "label: found a duration, expected numbers", with_label([datetime.timedelta(1)] * 100)
    ),
    "a label that is not there": data(("no column price", "found row, x, label"), label="price"),
    "a feature that is not there": data("a.parquet: no column price", include=("x", "price")),
    "an excluded column that is not there": data("a.parquet: no column price", exclude=("price",)),
    "a category that is not there": data("a.parquet: no column price", categories=("price",)),
    "a column of another case": data("a.parquet: no column X", include=("X",)),
    "no feature left": data("no feature is left; found the label label", exclude=("row", "x")),
    "a float as a category": data(
        ("column x, row 1: found 0.5, expected a whole number or text", "data.categories"),
        table(hundred([row / 2 for row in ROWS])),
        categories=("x",),
    ),
    "a date as a category": data(
        "column x: found type date32", table(hundred([datetime.date(2020, 1, 1)] * 100)), categories=("x",)
    ),
    "a column twice in a Parquet file": data(
        "column x: found it 2 times", table(pa.table([ROWS, ROWS, HALVES], names=["x", "x", "label"]))
    ),
    "a column missing in the second file": data(
        ("2.parquet: column x: found it 0 times", "1.parquet"), tables(GOOD, {"row": ROWS, "label": HALVES})
    ),
    "a label missing in the second file": data(
        "2.parquet: column label: found it 0 times", tables(GOOD, {"row": ROWS, "x": ROWS})
    ),
    "text where the first file has numbers": data(
        ("2.parquet: column x: found category (string), expected number as in", "1.parquet"),
        tables(GOOD, hundred(["a"] * 100)),
    ),
    "numbers where the first file has dates": data(
        "2.parquet: column x: found number", tables(hundred([datetime.date(2020, 1, 1)] * 100), GOOD)
    ),
    "a list where the first file has numbers": data(
        "2.parquet: column x: found type list", tables(GOOD, hundred([[1]] * 100))
    ),
    "booleans where the first file has a label of integers": data(
        "2.parquet: column label: found boolean", tables(GOOD, hundred(ROWS, [True, False] * 50))
    ),
    "a column of nulls without a type": data(
        "column x: found no value in any file", table(hundred(pa.nulls(100))), include=("row", "x")
    ),
    "a number column of nulls": data(
        ("a.parquet: column x: found no value in any training row", "data.exclude"),
        table(hundred(pa.nulls(100, pa.float64()))),
        include=("row", "x"),
    ),
    "a column of NaN": data(
        "column x: found no value in any training row", table(hundred([math.nan] * 100)), include=("row", "x")
    ),
    "a text column of nulls": data("data.exclude", table(hundred(pa.nulls(100, pa.string()))), include=("row", "x")),
    "a date column of nulls": data("data.exclude", table(hundred(pa.nulls(100, pa.date32()))), include=("row", "x")),
    "a name that a derived column needs": data(
        "column x__missing: the name is needed", table({"x": [None, *ROWS[1:]], "x__missing": ROWS, "label": HALVES})
    ),
}


def one_value(place: int, value: Any, type: pa.DataType | None = None) -> Source:
    """Return a table whose column x is harmless but for one value."""
    values: list[Any] = [0, 1] * 50
    values[place] = value
    return table(hundred(pa.array(values, type)), row_group_size=30)


VALUES = {
    "an infinity": data("a.parquet: column x, row 77: found inf, expected a finite", one_value(77, math.inf)),
    "a negative infinity": data("column x, row 3: found -inf", one_value(3, -math.inf)),
    "an infinity of 32 bits": data("row 3: found inf", one_value(3, math.inf, pa.float32())),
    "an integer beyond 2^53": data(
        "column x, row 60: found 9007199254740993, expected at most 2^53", one_value(60, 2**53 + 1)
    ),
    "a negative integer beyond 2^53": data("row 5: found -9007199254740993", one_value(5, -(2**53) - 1)),
    "the largest unsigned integer": data("found 18446744073709551615", one_value(5, 2**64 - 1, pa.uint64())),
    "a time out of range": data("column x, row 0 or below", one_value(5, 2**62, pa.timestamp("ms"))),
    "an infinity in the second file": data(
        "2.parquet: column x, row 99: found inf", tables(GOOD, hundred([*ROWS[:-1], math.inf]))
    ),
    "an infinity in a CSV file": data("found inf", content("a.csv", CSV + "inf,1\n")),
    "a huge integer in a CSV file": data("found 9223372036854775807", content("a.csv", CSV + f"{2**63 - 1},1\n")),
}

LABELS = {
    "a label with a null": data(
        "a.parquet: column label, row 41: found None", with_label([0] * 41 + [None] + [1] * 58), null_labels="refuse"
    ),
    "a label with NaN": data(
        "column label, row 41: found nan", with_label([0.0] * 41 + [math.nan] + [1.0] * 58), null_labels="refuse"
    ),
    "a label with an infinity": data(
        "column label, row 41: found inf", with_label([0.5] * 41 + [math.inf] + [1.0] * 58)
    ),
    "a text label with a null": data(
        "row 2: found None", with_label(["a", "b", None] + ["a"] * 97), null_labels="refuse"
    ),
    "a label of nulls": data("label label: found no value in any row", with_label(pa.nulls(100))),
    "a typed label of nulls": data("row 0: found None", with_label(pa.nulls(100, pa.int64())), null_labels="refuse"),
    "a label with one class": data("label label: found only the value 1", with_label([1] * 100)),
    "a text label with one class": data("found only the value 'a'", with_label(["a"] * 100)),
    "a constant to predict": data("found only the value 2.5", with_label([2.5] * 100), task="regression"),
    "one row": data("found only the value 0", with_label([0])),
    "dates to predict": data("label label: found a date", with_label([datetime.date(2020, 1, 1)] * 100)),
    "times to predict": data("label label: found a timestamp", with_label([datetime.datetime(2020, 1, 1)] * 100)),
    "lists to predict": data(("column label: found type list", "data.label"), with_label([[1]] * 100)),
    "bytes to predict": data("column label: found type binary", with_label([b"1"] * 100)),
    "more texts than classes": data(
        "more than 1000 distinct", table({"x": range(2000), "label": [f"text {row}" for row in range(2000)]})
    ),
    "text for a regression": data("found text, expected numbers", with_label(["a", "b"] * 50), task="regression"),
    "three classes for two": data(
        "found 3 distinct values, expected 2", with_label([row % 3 for row in range(99)]), task="binary"
    ),
    "too many numbers for classes": data(
        "more than 1000 distinct values", table({"x": range(2000), "label": range(2000)}), task="multiclass"
    ),
    "a label beyond 64 bits": data(
        "row 1: found 18446744073709551615", with_label(pa.array([0, 2**64 - 1], pa.uint64()))
    ),
    "a number to predict beyond 2^53": data(
        "column label, row 99: found 9007199254740993", with_label([*range(99), 2**53 + 1])
    ),
    "a number to predict too large to square": data(
        "too large to be squared", with_label([row * 1e300 for row in ROWS])
    ),
    "decimals with a null": data(
        "found None", with_label(pa.array([Decimal(1), None] * 50, pa.decimal128(5, 2))), null_labels="refuse"
    ),
    "a class that is in no training row": Case(
        with_label([0] * 90 + [1] * 10), ("class 1 is in no training row", "stratified"), split(kind="time", column="x")
    ),
    "a class of the test rows alone": Case(
        with_label(["a", "b"] * 45 + ["c"] * 10), ("class 'c' is in no training row",), split(kind="time", column="x")
    ),
}
