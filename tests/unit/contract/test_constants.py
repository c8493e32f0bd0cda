"""A column of one value teaches nothing: it is left out by name, and kept where asked for."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.unit.stages import HALVES, hundred, loaded, write
from unbroken.errors import DataError

CONSTANTS: dict[str, Any] = {
    "text": ["x"] * 100,
    "integer": [7] * 100,
    "float": [0.5] * 100,
    "boolean": [True] * 100,
    "moment": pa.array([datetime(2021, 1, 1)] * 100, pa.timestamp("ns")),
    "words": pa.array(["x"] * 100).dictionary_encode(),
}


def names(source: str, folder: Path, **data: Any) -> list[str]:
    """Return the features of a source."""
    return [column.name for column in loaded(source, folder, **data).schema.features]


@pytest.mark.parametrize("kind", CONSTANTS)
def test_a_constant_is_left_out_by_name_and_kept_where_asked_for(kind: str, tmp_path: Path, caplog):
    caplog.set_level("INFO")
    source = write(tmp_path / "a.parquet", hundred(CONSTANTS[kind]))

    assert names(source, tmp_path) == ["row"]
    assert "left out: 'x': one value in every row. Name it in data.keep to use it" in caplog.text
    assert names(source, tmp_path, keep=("x",)) == names(source, tmp_path, include=("row", "x")) == ["row", "x"]


@pytest.mark.parametrize("other", [None, 8.0, float("nan")])
def test_one_other_value_in_the_last_of_many_files_makes_it_a_feature(other: Any, tmp_path: Path):
    for number in range(3):
        write(tmp_path / "many" / f"{number}.parquet", hundred([7.0] * 100))
    assert names(str(tmp_path / "many"), tmp_path) == ["row"]

    write(tmp_path / "many" / "3.parquet", hundred([7.0] * 99 + [other]))

    assert names(str(tmp_path / "many"), tmp_path) == ["row", "x"]


def test_a_table_of_constants_is_refused_with_the_way_out(tmp_path: Path):
    source = write(tmp_path / "a.parquet", {"x": [1] * 100, "y": ["a"] * 100, "label": HALVES})

    with pytest.raises(DataError, match=r"no feature is left.*x \(one value in every row\).*Name data.keep to use one"):
        names(source, tmp_path)
