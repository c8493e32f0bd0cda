"""Columns without a meaning, such as row numbers and ids, are left out by name."""

from pathlib import Path

import pytest

from tests.unit.stages import schema_of, write

COUNT = 400
MEANINGLESS = {
    "row numbers": ("n", list(range(COUNT)), "row numbers"),
    "row numbers from 1": ("n", list(range(1, COUNT + 1)), "row numbers"),
    "row numbers as floats": ("n", [float(row) for row in range(COUNT)], "row numbers"),
    "row numbers of which some are gone": (
        "n",
        [row for row in range(1, 600) if row % 7 not in (3, 4)][:COUNT],
        "row numbers",
    ),
    "row names of a sample": (
        "rownames",
        [(row * 7919) % 100_003 for row in range(COUNT)],
        "ids: each number comes once",
    ),
    "ids in one word": ("Kundennr", [(row * 7919) % 100_003 for row in range(COUNT)], "ids: each number comes once"),
    "amounts one apart": ("n", list(range(1000, 1000 + COUNT)), None),
    "amounts that rise": ("n", [row * row for row in range(COUNT)], None),
    "ids": ("customer_id", [(row * 7919) % 100_003 for row in range(COUNT)], "ids: each number comes once"),
    "ids as floats": (
        "customerId",
        [float((row * 7919) % 100_003) for row in range(COUNT)],
        "ids: each number comes once",
    ),
    "ids with gaps": (
        "id",
        [None if row % 9 == 0 else (row * 7919) % 100_003 for row in range(COUNT)],
        "ids: each number",
    ),
    "texts that hardly come twice": (
        "name",
        [f"name {row}" for row in range(COUNT)],
        "400 different texts in 400 rows",
    ),
    "texts of digits": ("name", [str(row * 7919) for row in range(COUNT)], "400 different texts in 400 rows"),
    "an amount": ("amount", [(row * 7919) % 100_003 for row in range(COUNT)], None),
    "an id that comes again": ("customer_id", [row % 40 for row in range(COUNT)], None),
    "parts": ("id", [row / 8 for row in range(COUNT)], None),
}


@pytest.mark.parametrize("name", MEANINGLESS)
def test_what_carries_no_meaning_is_left_out_by_name(name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level("INFO")
    column, values, why = MEANINGLESS[name]
    table = {"x": [float(row % 9) for row in range(COUNT)], column: values, "label": [row % 2 for row in range(COUNT)]}

    names = [feature.name for feature in schema_of(write(tmp_path / "a.parquet", table), tmp_path).features]

    assert names == (["x"] if why else ["x", column])
    assert (f"left out: '{column}': {why}" in caplog.text) == bool(why)


def test_row_numbers_are_known_where_few_of_the_rows_have_a_label(tmp_path: Path):
    rows = range(COUNT)
    label = [None if row % 7 else row / 7 for row in rows]
    source = write(tmp_path / "a.parquet", {"n": list(rows), "x": [float(row % 9) for row in rows], "label": label})

    assert [column.name for column in schema_of(source, tmp_path).features] == ["x"]
