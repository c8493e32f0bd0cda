"""Rows for prediction in any shape that names its columns: the same bits; any other shape in one paragraph."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.contract import run_stages, write_rows
from unbroken.config import Config, DataConfig, ModelConfig, TrainingConfig
from unbroken.errors import DataError
from unbroken.serving.prediction import Predictor, load_predictor


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Predictor, pa.Table, pa.Table]:
    """Return a predictor, four raw rows, and what it says of them."""
    folder: Path = tmp_path_factory.mktemp("tables")
    config = Config(
        data=DataConfig(source=write_rows(folder / "rows.parquet", "binary")),
        model=ModelConfig(options={"hidden": [4]}),
        training=TrainingConfig(epochs=1, batch_size=32),
        runs_folder=str(folder / "runs"),
    )
    predictor = load_predictor(run_stages(config).path)
    rows = pq.read_table(config.data.source).slice(0, 4)
    return predictor, rows, predictor.predict(rows)


SHAPES: dict[str, Any] = {
    "an Arrow table": lambda rows: rows,
    "an Arrow batch": lambda rows: rows.combine_chunks().to_batches()[0],
    "an Arrow reader": lambda rows: rows.to_reader(),
    "a frame": lambda rows: rows.to_pandas(),
    "a frame with an index of its own": lambda rows: rows.to_pandas().set_index(pd.Index([7, 7, 8, 9])),
    "a dict of lists": lambda rows: rows.to_pydict(),
    "a dict of arrays": lambda rows: {name: rows.to_pandas()[name].to_numpy() for name in rows.column_names},
    "a dict of Series": lambda rows: dict(rows.to_pandas().items()),
    "a list of dicts": lambda rows: rows.to_pylist(),
    "a tuple of dicts": lambda rows: tuple(rows.to_pylist()),
    "a list of Series": lambda rows: [row for _, row in rows.to_pandas().iterrows()],
    "a list of dicts without what is missing": lambda rows: [
        {name: value for name, value in row.items() if value is not None} for row in rows.to_pylist()
    ],
}


@pytest.mark.parametrize("shape", SHAPES)
def test_rows_in_any_shape_that_names_its_columns_give_the_same_bits(
    shape: str, scored: tuple[Predictor, pa.Table, pa.Table]
):
    predictor, rows, expected = scored

    assert predictor.predict(SHAPES[shape](rows)).equals(expected)


@pytest.mark.parametrize("shape", ["dict", "Series", "numpy"])
def test_one_row_may_come_as_a_dict_or_a_series(shape: str, scored: tuple[Predictor, pa.Table, pa.Table]):
    predictor, rows, expected = scored
    row = rows.to_pandas().iloc[2]
    one = {"Series": row, "dict": rows.to_pylist()[2], "numpy": {name: np.asarray(row[name])[()] for name in row.index}}

    assert predictor.predict(one[shape]).equals(expected.slice(2, 1))


EMPTY: dict[str, Any] = {
    "a frame": lambda rows: rows.to_pandas().iloc[:0],
    "a frame without columns": lambda rows: pd.DataFrame(),
    "a list": lambda rows: [],
    "a dict of lists": lambda rows: {name: [] for name in rows.column_names},
    "a table": lambda rows: rows.slice(0, 0),
}


@pytest.mark.parametrize("shape", EMPTY)
def test_no_rows_in_any_shape_give_no_predictions(shape: str, scored: tuple[Predictor, pa.Table, pa.Table]):
    predictor, rows, expected = scored

    assert predictor.predict(EMPTY[shape](rows)).equals(expected.slice(0, 0))


REFUSED: dict[str, tuple[Any, str]] = {
    "an array": (np.ones((4, 5)), r"rows: found ndarray of shape \(4, 5\), expected rows with named columns"),
    "lists": ([[1.0, 2.0]], "rows: found list as row 0 of a list, expected rows with named columns"),
    "numbers": ([1.0], "rows: found float as row 0 of a list"),
    "nothing": (None, "rows: found NoneType, expected rows with named columns"),
    "a path": ("rows.parquet", "rows: found str, expected rows with named columns"),
    "a Series of one column": (pd.Series([1.0, 2.0]), "rows: found 0 as the name of a column"),
    "a column among values": ({"number_0": [1.0], "colour": "red"}, "with a single value for colour"),
    "columns of several lengths": ({"number_0": [1.0], "colour": ["red", "blue"]}, "rows: found dict: .*length"),
    "a column of several types": (pd.DataFrame({"number_0": [1.0, "a"]}), "rows: found DataFrame of shape .*number_0"),
    "numbers for names": ([{0: 1.0}], "rows: found 0 as the name of a column"),
    "a matrix for a column": ({"number_0": np.ones((2, 2))}, "rows: found dict: .*1-dimensional"),
    "a single Arrow column": (pa.array([1.0]), "rows: found DoubleArray"),
}


@pytest.mark.parametrize("shape", REFUSED)
def test_rows_that_do_not_name_their_columns_are_refused_in_one_paragraph(
    shape: str, scored: tuple[Predictor, pa.Table, pa.Table]
):
    rows, words = REFUSED[shape]

    with pytest.raises(DataError, match=words) as refused:
        scored[0].predict(rows)

    assert "a list of rows as dicts" in str(refused.value)
