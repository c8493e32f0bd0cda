"""Rows that come as other types than in training are scored as what training learnt, or refused by name."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.contract import run_stages
from tests.unit.stages import write
from unbroken.config import Config, DataConfig, TrainingConfig
from unbroken.errors import DataError
from unbroken.serving.prediction import Predictor, load_predictor
from unbroken.serving.scoring import predict_files

ROWS = 200
DAYS = [date(2021, 1, 1) + timedelta(days=row % 90) for row in range(ROWS)]
TABLE = pa.table(
    {
        "day": DAYS,
        "number": [float(row % 7) for row in range(ROWS)],
        "flag": [row % 3 == 0 for row in range(ROWS)],
        "code": ["04", "11"] * (ROWS // 2),
        "label": [row % 2 for row in range(ROWS)],
    }
)


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    folder = tmp_path_factory.mktemp("types")
    data = DataConfig(source=write(folder / "a.parquet", TABLE))
    return load_predictor(
        run_stages(Config(data=data, training=TrainingConfig(epochs=1), runs_folder=str(folder / "runs"))).path
    )


def with_column(name: str, values: Any) -> pa.Table:
    return TABLE.set_column(TABLE.schema.get_field_index(name), name, pa.array(values))


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("day", [day.isoformat() for day in DAYS]),
        ("day", pa.array(DAYS).cast(pa.timestamp("us"))),
        ("day", pa.array([day.isoformat() for day in DAYS]).dictionary_encode()),
        ("number", [str(row % 7) for row in range(ROWS)]),
        ("number", [row % 7 for row in range(ROWS)]),
        ("flag", [int(row % 3 == 0) for row in range(ROWS)]),
    ],
)
def test_values_of_another_type_are_scored_as_what_they_mean(
    name: str, values: Any, predictor: Predictor, tmp_path: Path
):
    table = with_column(name, values)

    scored = pq.read_table(
        predict_files(predictor, write(tmp_path / "a.parquet", table), tmp_path / "out.parquet").path
    )

    assert predictor.predict(table).equals(predictor.predict(TABLE))
    assert scored.equals(predictor.predict(TABLE))


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("day", ["soon"] * ROWS, r"column day, row 0 or below: found string, expected a date as in training"),
        ("day", [5] * ROWS, r"column day: found int64, expected date as in training"),
        ("number", ["many"] * ROWS, r"column number, row 0 or below: found string, expected a number as in training"),
        ("flag", [2] * ROWS, r"column flag, row 0 or below: found int64, expected a boolean as in training"),
        ("code", DAYS, r"column code: found date32\[day\], expected category as in training"),
    ],
)
def test_values_that_cannot_mean_it_are_refused_by_name(
    name: str, values: Any, message: str, predictor: Predictor, tmp_path: Path
):
    source = write(tmp_path / "a.parquet", with_column(name, values))

    with pytest.raises(DataError, match=message):
        predict_files(predictor, source, tmp_path / "out.parquet")
    assert not (tmp_path / "out.parquet").exists()
