"""Numbers and dates that can be read in two ways: by the other columns, by what training learnt, and never in silence."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.contract import run_stages
from tests.unit.stages import prepared
from tests.unit.test_csv import DAY, ROWS, assert_column, rows_of
from unbroken.config import Config, DataConfig, TrainingConfig
from unbroken.features.encoder import Encoder
from unbroken.serving.prediction import Predictor, load_predictor
from unbroken.serving.scoring import predict_files

MONEY = {
    "C$ before": (lambda row: f"C$ {row + 100}", 100, 699),
    "a code before": (lambda row: f"AUD {row + 100}", 100, 699),
    "a code behind": (lambda row: f"{row + 100} SEK", 100, 699),
    "kr. behind": (lambda row: f"{row + 100} kr.", 100, 699),
    "Rs. before": (lambda row: f"Rs. {row + 100}.5", 100.5, 699.5),
    "a minus behind": (lambda row: f"{row + 100}-", -699, -100),
    "a sign between": (lambda row: f"€-{row + 100}", -699, -100),
    "lakhs": (lambda row: f'"{1 + row % 9},{10 + row % 90},{row:03d}"', 110_000, 999_599),
    "a gap of any word": (lambda row: "TBD" if row % 3 == 0 else row % 50, 0, 49),
    "a gap as of MySQL": (lambda row: r"\N" if row % 3 == 0 else row % 50, 0, 49),
    "a gap as of Excel": (lambda row: "#DIV/0!" if row % 3 == 0 else row % 50, 0, 49),
    "a long dash": (lambda row: "\u2014" if row % 3 == 0 else row % 50, 0, 49),
}
MOMENTS = {
    "of a mail": ('"Fri, {day} Jan 2021 10:00:00 GMT"', "timestamp", 36_000),
    "of a log": ('"2021-01-{day:02d} 10:00:00,500"', "timestamp", 36_000.5),
    "of JavaScript": ('"{day}.01.2021, 10:00"', "timestamp", 36_000),
    "with UTC": ("2021-01-{day:02d} 10:00:00 UTC", "timestamp", 36_000),
    "with a weekday": ("Fri Jan {day} 2021", "date", 0),
    "with a. m.": ("1/{day}/2021 10:00 a.m.", "timestamp", 36_000),
}


def trained(path: Path, folder: Path, **data: Any) -> Predictor:
    config = Config(
        data=DataConfig(source=str(path), **data), training=TrainingConfig(epochs=1), runs_folder=str(folder / "runs")
    )
    return load_predictor(run_stages(config).path)


@pytest.mark.parametrize("name", MONEY)
def test_numbers_have_signs_and_gaps_of_many_kinds(name: str, tmp_path: Path):
    value, low, high = MONEY[name]
    (tmp_path / "a.csv").write_text(rows_of(value), encoding="utf-8")

    assert_column(prepared(tmp_path / "a.csv", tmp_path), "number", (low, high))


@pytest.mark.parametrize("name", MOMENTS)
def test_dates_are_written_in_many_ways(name: str, tmp_path: Path):
    text, kind, seconds = MOMENTS[name]
    (tmp_path / "a.csv").write_text(rows_of(lambda row: text.format(day=1 + row % 28)))

    result = prepared(tmp_path / "a.csv", tmp_path)

    assert_column(result, kind, (18628 * DAY + seconds, 18655 * DAY + seconds))


def test_digits_are_dates_where_the_settings_say_so(tmp_path: Path):
    (tmp_path / "a.csv").write_text(rows_of(lambda row: f"202101{1 + row % 28:02d}"))

    assert_column(prepared(tmp_path / "a.csv", tmp_path, types={"c": "date"}), "date", (18628 * DAY, 18655 * DAY))


def test_hexadecimal_digits_are_codes(tmp_path: Path):
    (tmp_path / "a.csv").write_text(rows_of(lambda row: f"0x{row % 3 + 9:x}"))

    assert_column(prepared(tmp_path / "a.csv", tmp_path), "category", ("0x9", "0xa", "0xb"))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (lambda row: f"{1 + row % 12}/{1 + row % 11}/2021", "every cell could be a date, day first as well"),
        (lambda row: f"{row % 50}{'%' if row % 2 else ''}", "different signs: 300 with none, 300 with %"),
        (lambda row: f"{'$€'[row % 2]}{row % 50}", "different signs: 300 with $, 300 with €"),
        (lambda row: "few" if row % 5 == 0 else row % 50, "though 480 of 600 cells are a number"),
    ],
)
def test_what_can_be_read_in_two_ways_is_said(
    value: Callable[[int], Any], words: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    (tmp_path / "a.csv").write_text(rows_of(value), encoding="utf-8")

    prepared(tmp_path / "a.csv", tmp_path)

    assert words in caplog.text


def test_points_that_could_stand_between_thousands_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    text = "x;c;label\n" + "".join(f"{row % 7};{1 + row % 50}.{row:03d};{row % 2}\n" for row in range(ROWS))
    (tmp_path / "a.csv").write_text(text)

    prepared(tmp_path / "a.csv", tmp_path)

    assert "column c: read as numbers with a decimal point, but each could have a point for thousands" in caplog.text


def test_another_column_tells_the_order_of_dates(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    lines = [f"{1 + row % 28}/1/2021,{1 + row % 12}/{1 + row % 3}/2021,{row % 2}" for row in range(ROWS)]
    (tmp_path / "a.csv").write_text("\n".join(["x,c,label", *lines]))

    result = prepared(tmp_path / "a.csv", tmp_path)

    assert result.encoder.formats == {"x": "date, day first", "c": "date, day first"}
    assert (result.encoder.numbers[1].low, result.encoder.numbers[1].high) == (18628 * DAY, (18628 + 59 + 11) * DAY)
    assert "could be a" not in caplog.text


LEARNT: dict[str, tuple[str, Callable[[int], str], str, str]] = {
    "the day first": (",", lambda row: f"{1 + row % 28}/{1 + row % 12}/2021", "3/4/2021", "2021-04-03"),
    "the day first, by dashes": (",", lambda row: f"{1 + row % 28}-{1 + row % 12}-2021", "03-04-2021", "2021-04-03"),
    "the month first": (",", lambda row: f"{1 + row % 12}/{1 + row % 28}/2021", "3/4/2021", "2021-03-04"),
    "a point for thousands": (";", lambda row: f"{1 + row % 900}.{row:03d},5", "1.234", "1234"),
    "a decimal comma": (";", lambda row: f"{row},125", "1,234", "1,2340"),
    "a comma for thousands": (",", lambda row: f'"{1 + row % 900},{row:03d}.5"', '"1,234"', "1234"),
}


@pytest.mark.parametrize("name", LEARNT)
def test_a_single_row_is_read_as_training_read_its_column(name: str, tmp_path: Path):
    delimiter, value, cell, meant = LEARNT[name]
    (tmp_path / "a.csv").write_text(rows_of(value, delimiter).replace(".5;", ";"))
    model = trained(tmp_path / "a.csv", tmp_path)

    scored = []
    for number, text in enumerate((cell, meant)):
        (tmp_path / f"{number}.csv").write_text(f"x{delimiter}c\n1{delimiter}{text}\n")
        target = tmp_path / f"{number}.parquet"
        scored.append(pq.read_table(predict_files(model, str(tmp_path / f"{number}.csv"), target).path))

    assert scored[0].equals(scored[1])
    assert model.encoder.formats


def test_an_order_that_is_not_that_of_training_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (tmp_path / "a.csv").write_text(rows_of(lambda row: f"{1 + row % 28}/{1 + row % 12}/2021"))
    model = trained(tmp_path / "a.csv", tmp_path)
    (tmp_path / "b.csv").write_text(rows_of(lambda row: f"{1 + row % 12}/{1 + row % 28}/2021"))

    predict_files(model, str(tmp_path / "b.csv"), tmp_path / "b.parquet")

    assert "column c: read as date, month first; in training it was date, day first" in caplog.text


def test_a_checkpoint_says_how_columns_were_written_only_where_that_is_needed(tmp_path: Path):
    (tmp_path / "a.csv").write_text(rows_of(lambda row: f"2021-01-{1 + row % 28:02d}"))
    (tmp_path / "b.csv").write_text(rows_of(lambda row: f"{1 + row % 28}.01.2021"))

    plain, written = (prepared(tmp_path / name, tmp_path).encoder for name in ("a.csv", "b.csv"))

    assert "formats" not in plain.tree()
    assert written.tree()["formats"] == {"c": "date, day first"}
    assert Encoder.of_tree(written.tree(), tmp_path) == written


@pytest.mark.parametrize(
    ("ways", "kind", "low", "high"),
    [
        (
            (lambda row: f"{1 + row % 28}/1/2021", lambda row: f"2021-01-{1 + row % 28:02d}"),
            "date",
            *(18628 * DAY, 18655 * DAY),
        ),
        ((lambda row: f"{row % 50}.25", lambda row: f'"{row % 50},25"'), "number", *(0.25, 49.25)),
        ((lambda row: f"{row % 50}", lambda row: f"{row % 50} €"), "number", *(0, 49)),
    ],
)
def test_each_file_of_a_folder_may_write_a_column_in_a_way_of_its_own(
    ways: tuple[Callable[[int], str], ...], kind: str, low: float, high: float, tmp_path: Path
):
    (tmp_path / "in").mkdir()
    for number, way in enumerate(ways):
        (tmp_path / f"in/{number}.csv").write_text(rows_of(way), encoding="utf-8")

    assert_column(prepared(tmp_path / "in", tmp_path), kind, (low, high))


def test_a_column_of_numbers_in_one_file_and_words_in_another_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (tmp_path / "in").mkdir()
    for number, way in enumerate((lambda row: row % 50, lambda row: ("few", "many")[row % 2])):
        (tmp_path / f"in/{number}.csv").write_text(rows_of(way))

    kinds = {column.name: column.kind for column in prepared(tmp_path / "in", tmp_path).manifest.schema.features}

    assert kinds["c"] == "category"
    assert "column c: read as text, though 600 of 1200 cells are a number" in caplog.text
