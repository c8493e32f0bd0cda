"""Small files as they come from elsewhere: each trains, and on what it holds."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.contract import run_stages
from tests.unit.stages import Prepared, prepared
from unbroken.config import Config, DataConfig, TrainingConfig
from unbroken.errors import DataError
from unbroken.serving.prediction import load_predictor
from unbroken.serving.scoring import predict_files

CASES = Path(__file__).parents[1] / "cases"
DAY = 86400.0


def is_in_range(name: str, low: float, high: float, *, missing: bool = False) -> Callable[[Prepared], None]:
    """Return a check of what was learnt of a number."""

    def check(result: Prepared) -> None:
        scale = next(scale for scale in result.encoder.numbers if scale.name == name)
        assert low <= scale.low < scale.high <= high
        assert scale.indicator is missing

    return check


def has_values(name: str, *values: str) -> Callable[[Prepared], None]:
    """Return a check of what was learnt of a category."""

    def check(result: Prepared) -> None:
        assert next(codes.values for codes in result.encoder.categories if codes.name == name) == values

    return check


def has_rows(rows: int) -> Callable[[Prepared], None]:
    def check(result: Prepared) -> None:
        assert result.manifest.rows == result.rows.num_rows == rows

    return check


ALL_ROWS = has_rows(600)


@dataclass(frozen=True)
class Case:
    """What a file holds: its features with their kinds, the classes of its label, and what is said of it."""

    features: dict[str, str]
    says: tuple[str, ...] = ()
    check: Callable[[Prepared], None] = ALL_ROWS
    classes: tuple[Any, ...] = (0, 1)
    label: str | None = "label"


XY = {"x": "number", "age": "number"}
TABLE = {
    "one_stray_word.csv": Case(
        XY, ("column age: read as number; 1 of 600", "'?'"), is_in_range("age", 18, 79, missing=True)
    ),
    "thousands.csv": Case(
        {"x": "number", "income": "number"}, ("income", "thousands by comma"), is_in_range("income", 10_000, 99_999)
    ),
    "day_first_dates.csv": Case(
        {**XY, "day": "date"}, ("column day: read as date, day first",), is_in_range("day", 18628 * DAY, 19228 * DAY)
    ),
    "semicolons.csv": Case(XY, ("delimiter `;`",), is_in_range("age", 18, 79)),
    "latin1.csv": Case({**XY, "name": "category"}, ("Windows-1252",), has_values("name", "José", "Zoë")),
    "shuffled_index.parquet": Case(XY, ("left out: '__index_level_0__'", "index"), label=None),
    "named_index.parquet": Case(XY, ("left out: 'customer'", "index"), label=None),
    "unnamed_index.csv": Case(XY, ("left out: ''", "index"), label=None),
    "text_NA.parquet": Case(
        {"x": "number", "country": "category"}, (), has_values("country", "DE", "FR", "NA", "null")
    ),
    "text_NA.csv": Case(
        {"x": "number", "country": "category"},
        ("missing values: empty cells and NA", "data.null_words"),
        has_values("country", "DE", "FR"),
    ),
    "leading_zeros.parquet": Case(
        {"x": "number", "zip": "category"}, (), has_values("zip", "01001", "02134", "1001", "90210")
    ),
    "leading_zeros.csv": Case(
        {"x": "number", "zip": "category"}, (), has_values("zip", "01001", "02134", "1001", "90210")
    ),
    "int96_far_future.parquet": Case(
        {"x": "number", "when": "timestamp"}, (), is_in_range("when", 18262 * DAY, 2932897 * DAY)
    ),
    "string_view_label.parquet": Case({"x": "number", "kind": "category"}, classes=("no", "yes")),
    "null_labels.csv": Case(XY, ("11 of 600 rows have no label",), has_rows(589)),
    "hundred_rows.csv": Case(XY, ("72 rows train, so a batch is all of them",), has_rows(100)),
    "uuid_column.csv": Case(XY, ("left out: 'id'", "600 different texts")),
    "twenty_digits.csv": Case({"x": "number"}, ("left out: 'account'",)),
    "duration.parquet": Case({"x": "number", "took": "duration"}, (), is_in_range("took", 0, 900)),
}


def test_every_file_of_the_folder_has_a_case():
    assert sorted(path.name for path in CASES.iterdir()) == sorted(TABLE)


@pytest.mark.parametrize("name", TABLE)
def test_a_file_from_elsewhere_trains_on_what_it_holds_and_says_so(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    case = TABLE[name]
    caplog.set_level("INFO")
    data = DataConfig(source=str(CASES / name), label=case.label)
    config = Config(data=data, training=TrainingConfig(epochs=2), runs_folder=str(tmp_path / "trained"))

    restored = run_stages(config)
    result = prepared(CASES / name, tmp_path, label=case.label)

    schema = result.manifest.schema
    assert {column.name: column.kind for column in schema.features} == case.features
    assert (schema.label.name, schema.classes) == ("label", case.classes)
    assert [part for part in case.says if part not in caplog.text] == []
    case.check(result)
    assert np.isfinite([restored.metrics["test_loss"], restored.metrics["test_auroc"]]).all()


@pytest.mark.parametrize("name", ["text_NA", "leading_zeros"])
def test_a_model_of_parquet_rows_scores_the_same_rows_in_csv_alike(name: str, tmp_path: Path):
    data = DataConfig(source=str(CASES / f"{name}.parquet"), label="label")
    config = Config(data=data, training=TrainingConfig(epochs=2), runs_folder=str(tmp_path / "runs"))
    model = load_predictor(run_stages(config).path)

    tables = [
        pq.read_table(predict_files(model, str(CASES / f"{name}.{ending}"), tmp_path / f"{ending}.parquet").path)
        for ending in ("parquet", "csv")
    ]

    assert tables[0].equals(tables[1])


def test_words_for_nothing_are_values_in_a_column_that_the_settings_call_text(tmp_path: Path):
    result = prepared(CASES / "text_NA.csv", tmp_path, label="label", types={"country": "text"})
    table = prepared(CASES / "text_NA.parquet", tmp_path, label="label")

    assert result.rows.equals(table.rows)


def test_rows_without_a_label_are_refused_where_the_settings_say_so(tmp_path: Path):
    with pytest.raises(DataError, match=r"null_labels\.csv: column label, row 3: found None, expected a label"):
        prepared(CASES / "null_labels.csv", tmp_path, label="label", null_labels="refuse")


@pytest.mark.parametrize(
    ("name", "column", "kind"),
    [
        ("uuid_column.csv", "id", "category"),
        ("named_index.parquet", "customer", "category"),
        ("shuffled_index.parquet", "__index_level_0__", "number"),
    ],
)
def test_a_column_that_is_left_out_by_default_is_kept_when_asked_for(name: str, column: str, kind: str, tmp_path: Path):
    kept = prepared(CASES / name, tmp_path, label="label", keep=(column,)).manifest.schema
    included = prepared(CASES / name, tmp_path, label="label", include=("x", column)).manifest.schema

    assert {entry.name: entry.kind for entry in kept.features} == {"x": "number", "age": "number", column: kind}
    assert {entry.name: entry.kind for entry in included.features} == {"x": "number", column: kind}
