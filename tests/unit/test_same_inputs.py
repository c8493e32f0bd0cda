"""The same rows in Parquet and in CSV are the same inputs of a model, bit by bit."""

import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pytest

from tests.unit.stages import prepared, write

ROWS = 60
WORDS = (
    "NA",
    "null",
    "None",
    "nan",
    "01001",
    "1001",
    "1",
    "1.0",
    "0x1f",
    "+1",
    "true",
    "2020-01-01",
    "é",
    "a,b",
    'a"b',
)
WORDS += (" a", "a ", "?", "-", "a\nb", "日本", "1e5", "inf", "words", "10%", "1,000")
COLUMNS: dict[str, tuple[pa.DataType, Callable[[random.Random], Any]]] = {
    "small integers": (pa.int8(), lambda draw: draw.randint(-128, 127)),
    "integers": (pa.int64(), lambda draw: draw.randint(-(10**14), 10**14)),
    "floats": (pa.float64(), lambda draw: draw.gauss(0, 1) * 10 ** draw.randint(-300, 14)),
    "floats and NaN": (pa.float64(), lambda draw: draw.choice((math.nan, draw.random()))),
    "booleans": (pa.bool_(), lambda draw: draw.random() < 0.5),
    "dates": (pa.date32(), lambda draw: draw.randint(-719162, 2932896)),
    "timestamps": (pa.timestamp("us"), lambda draw: draw.randint(-(10**16), 10**16)),
    "timestamps of a zone": (pa.timestamp("us", "UTC"), lambda draw: draw.randint(-(10**16), 10**16)),
    "whole seconds": (pa.timestamp("s"), lambda draw: draw.randint(-(10**9), 10**9)),
    "times of day": (pa.time64("us"), lambda draw: draw.randint(0, 86_399_999_999)),
    "words": (pa.string(), lambda draw: draw.choice(WORDS)),
    "words by code": (pa.dictionary(pa.int32(), pa.string()), lambda draw: draw.choice(WORDS)),
    "digits": (pa.string(), lambda draw: str(draw.randint(0, 30))),
    "zip": (pa.string(), lambda draw: f"{draw.randint(0, 30):05d}"),
    "coded integers": (pa.int64(), lambda draw: draw.randint(-3, 30)),
    "coded floats": (pa.float64(), lambda draw: draw.choice((math.nan, float(draw.randint(0, 9))))),
    "coded booleans": (pa.bool_(), lambda draw: draw.random() < 0.5),
    "integers as text": (pa.int64(), lambda draw: draw.randint(0, 9)),
    "booleans as text": (pa.bool_(), lambda draw: draw.random() < 0.5),
}
SETTINGS: dict[str, Any] = {
    "types": dict.fromkeys(("words", "words by code", "digits", "zip", "integers as text", "booleans as text"), "text"),
    "categories": ("coded integers", "coded floats", "coded booleans"),
}


def table_of(seed: int) -> pa.Table:
    """Return columns of every kind, each with gaps in a share of its rows: none, few, most, all."""
    draw = random.Random(seed)
    columns = {"x": pa.array([row / 8 for row in range(ROWS)])}
    for name, (type, value) in COLUMNS.items():
        gaps = draw.choice((0.0, 0.1, 0.6, 1.0))
        values = [None if draw.random() < gaps else value(draw) for _ in range(ROWS)]
        columns[name] = pa.array(values, type)
    return pa.table(columns | {"label": [row % 2 for row in range(ROWS)]})


@pytest.mark.parametrize("seed", [*range(10), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(10, 200))])
def test_a_table_gives_the_same_inputs_from_parquet_and_from_csv(seed: int, tmp_path: Path):
    table = table_of(seed)
    write(tmp_path / "a.parquet", table)
    coded = table.schema.get_field_index("words by code")
    pyarrow.csv.write_csv(
        table.set_column(coded, "words by code", table["words by code"].cast(pa.string())), tmp_path / "a.csv"
    )

    parquet, text = (prepared(tmp_path / f"a.{ending}", tmp_path / ending, **SETTINGS) for ending in ("parquet", "csv"))

    assert sorted(parquet.encoder.features.columns) == sorted(text.encoder.features.columns)
    assert parquet.encoder == text.encoder
    assert parquet.rows.equals(text.rows)
