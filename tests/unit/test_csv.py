"""CSV files in the ways that people and programs write them: each column is what all its rows are."""

import gzip
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.contract import run_stages
from tests.unit.stages import Prepared, loaded, prepared, write
from unbroken.config import Config, CsvConfig, DataConfig, TrainingConfig
from unbroken.csv import texts
from unbroken.errors import ConfigError, DataError
from unbroken.serving.prediction import load_predictor
from unbroken.serving.scoring import predict_files

ROWS = 600
DAY = 86400.0


def rows_of(value: Callable[[int], Any], delimiter: str = ",", header: str = "x,c,label") -> str:
    """Return a table of a number, a column `c` by its row number, and a label."""
    lines = [header.replace(",", delimiter)] if header else []
    lines += [delimiter.join((f"{row % 7}.5", str(value(row)), str(row % 2))) for row in range(ROWS)]
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Column:
    """A way to write a column `c`, its kind, and its least and greatest value or its texts."""

    value: Callable[[int], Any]
    kind: str
    values: tuple[Any, ...]
    data: dict[str, Any] = field(default_factory=dict)


COLUMNS = {
    "a dash where no number is": Column(lambda row: "-" if row % 10 == 0 else row % 50, "number", (1, 49)),
    "None where no number is": Column(lambda row: "None" if row % 9 == 0 else row % 50, "number", (0, 49)),
    "words in the last rows": Column(lambda row: row % 50 if row < 590 else "abc"[row % 3], "number", (0, 49)),
    "as many words as numbers": Column(lambda row: "few" if row % 2 else "1", "category", ("1", "few")),
    "dollars and cents": Column(lambda row: f'"${row + 1000:,}.50"', "number", (1000.5, 1599.5)),
    "euros behind": Column(lambda row: f"{row + 1000} €", "number", (1000, 1599)),
    "losses in brackets": Column(lambda row: f"({row})" if row % 2 else row, "number", (-599, 598)),
    "percentages": Column(lambda row: f"{row % 100}.5%", "number", (0.005, 0.995)),
    "thousands by a space": Column(lambda row: f"{1 + row % 9} {row:03d}", "number", (1000, 9593)),
    "thousands by an apostrophe": Column(lambda row: f"{1 + row % 9}'{row:03d}.5", "number", (1000.5, 9593.5)),
    "spaces around": Column(lambda row: f"  {row % 50} ", "number", (0, 49)),
    "all in quotes": Column(lambda row: f'"{row % 50}"', "number", (0, 49)),
    "scientific notation": Column(lambda row: f"{row}e-2", "number", (0, 5.99)),
    "codes with a leading zero": Column(lambda row: f"0{row % 3}", "category", ("00", "01", "02")),
    "codes with gaps": Column(lambda row: "" if row % 2 else f"0{row % 3}", "category", ("00", "01", "02")),
    "booleans": Column(lambda row: ("True", "FALSE", "true")[row % 3], "boolean", (0, 1)),
    "yes and no": Column(lambda row: ("yes", "no")[row % 2], "category", ("no", "yes")),
    "dates": Column(lambda row: f"2021-01-{1 + row % 28:02d}", "date", (18628 * DAY, 18655 * DAY)),
    "a word among dates": Column(
        lambda row: "soon" if row == 7 else f"2021-01-{1 + row % 28:02d}", "date", (18628 * DAY, 18655 * DAY)
    ),
    "the month first": Column(lambda row: f"1/{1 + row % 28}/2021", "date", (18628 * DAY, 18655 * DAY)),
    "the day first": Column(lambda row: f"{1 + row % 28}/1/2021", "date", (18628 * DAY, 18655 * DAY)),
    "the day first, by points": Column(lambda row: f"{1 + row % 28}.01.2021", "date", (18628 * DAY, 18655 * DAY)),
    "the month by name": Column(lambda row: f"{1 + row % 28}-Jan-21", "date", (18628 * DAY, 18655 * DAY)),
    "times with a zone": Column(
        lambda row: f"2021-01-{1 + row % 28:02d}T01:00:00+01:00", "timestamp", (18628 * DAY, 18655 * DAY)
    ),
    "times in the afternoon": Column(
        lambda row: f"1/{1 + row % 28}/2021 1:30 PM", "timestamp", (18628 * DAY + 48600, 18655 * DAY + 48600)
    ),
    "years that are far": Column(
        lambda row: "9999-12-31" if row == 0 else f"2021-01-{1 + row % 28:02d}", "date", (18628 * DAY, 2932896 * DAY)
    ),
    "times of day": Column(lambda row: f"{row % 24:02d}:30", "time", (1800, 84600)),
    "durations of pandas": Column(lambda row: f"{row % 3} days 00:00:10", "duration", (10, 2 * DAY + 10)),
    "numbers that are called text": Column(lambda row: row % 3, "category", ("0", "1", "2"), {"types": {"c": "text"}}),
    "words that are called numbers": Column(
        lambda row: row % 50 if row % 3 else "many", "number", (0, 49), {"types": {"c": "number"}}
    ),
    "zeros and ones that are called boolean": Column(
        lambda row: row % 2, "boolean", (0, 1), {"types": {"c": "boolean"}}
    ),
    "words for nothing of one's own": Column(
        lambda row: "soon" if row % 3 else "NA", "category", ("NA",), {"null_words": ("soon",)}
    ),
}


def assert_column(result: Prepared, kind: str, values: tuple[Any, ...]) -> None:
    assert {column.name: column.kind for column in result.manifest.schema.features} == {"x": "number", "c": kind}
    if kind == "category":
        assert result.encoder.categories[0].values == values
        return
    scale = next(scale for scale in result.encoder.numbers if scale.name == "c")
    low, high = values
    margin = (high - low) / 40  # the least and greatest of the training rows, which are four of five
    assert low == pytest.approx(scale.low, abs=margin)
    assert high == pytest.approx(scale.high, abs=margin)


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_is_what_nearly_all_its_cells_are(name: str, tmp_path: Path):
    column = COLUMNS[name]
    (tmp_path / "a.csv").write_text(rows_of(column.value), encoding="utf-8")

    assert_column(prepared(tmp_path / "a.csv", tmp_path, **column.data), column.kind, column.values)


def test_a_decimal_comma_can_be_named(tmp_path: Path):
    text = "x,c,label\n" + "".join(f'"{row % 7},5","{row},125",{row % 2}\n' for row in range(ROWS))
    (tmp_path / "a.csv").write_text(text)

    assert_column(prepared(tmp_path / "a.csv", tmp_path, csv=CsvConfig(decimal=",")), "number", (0.125, 599.125))


@pytest.mark.parametrize("name", ["None where no number is", "the day first", "words in the last rows"])
def test_a_column_is_the_same_however_its_file_is_cut_into_blocks(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(texts, "BLOCK_BYTES", 400)
    column = COLUMNS[name]
    (tmp_path / "a.csv").write_text(rows_of(column.value))

    assert_column(prepared(tmp_path / "a.csv", tmp_path), column.kind, column.values)


NAMES = ("José", "Zoë", "Åsa")
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252", "latin-1"]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_encoding_is_found_out(encoding: str, tmp_path: Path):
    (tmp_path / "a.csv").write_bytes(rows_of(lambda row: NAMES[row % 3]).encode(encoding))

    assert_column(prepared(tmp_path / "a.csv", tmp_path), "category", tuple(sorted(NAMES)))


def test_a_letter_beyond_ascii_in_the_last_row_decides_the_encoding(tmp_path: Path):
    (tmp_path / "a.csv").write_bytes(rows_of(lambda row: "Zoë" if row == ROWS - 1 else "Ann").encode("cp1252"))

    codes = prepared(tmp_path / "a.csv", tmp_path).rows["c"].to_pylist()

    assert len(set(codes)) == 2


def test_an_encoding_can_be_named(tmp_path: Path):
    (tmp_path / "a.csv").write_bytes(rows_of(lambda row: "жщы"[row % 3]).encode("cp1251"))

    result = prepared(tmp_path / "a.csv", tmp_path, csv=CsvConfig(encoding="cp1251"))

    assert_column(result, "category", ("ж", "щ", "ы"))


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found_out(delimiter: str, tmp_path: Path):
    (tmp_path / "a.csv").write_text(rows_of(lambda row: row % 50, delimiter))

    assert_column(prepared(tmp_path / "a.csv", tmp_path), "number", (0, 49))


def test_another_delimiter_can_be_named(tmp_path: Path):
    (tmp_path / "a.csv").write_text(rows_of(lambda row: row % 50, "^"))

    assert_column(prepared(tmp_path / "a.csv", tmp_path, csv=CsvConfig(delimiter="^")), "number", (0, 49))


@pytest.mark.parametrize(
    ("value", "low", "high"),
    [
        (lambda row: f"{row % 100},5", 0.5, 99.5),
        (lambda row: f"{1 + row % 100}.{row:03d},5", 1000.5, 100499.5),
        (lambda row: f"€ {1 + row % 9}.{row:03d}", 1000, 9593),
    ],
)
def test_decimal_commas_are_found_out_for_the_whole_file(value: Any, low: float, high: float, tmp_path: Path):
    (tmp_path / "a.csv").write_text(rows_of(value, ";").replace(".5;", ",5;"), encoding="utf-8")

    result = prepared(tmp_path / "a.csv", tmp_path)

    assert_column(result, "number", (low, high))
    assert (result.encoder.numbers[0].low, result.encoder.numbers[0].high) == (0.5, 6.5)


@pytest.mark.parametrize("value", [lambda row: row % 50, lambda row: "abc"[row % 3]])
def test_a_file_without_a_header_has_numbered_columns(value: Any, tmp_path: Path):
    (tmp_path / "a.csv").write_text(rows_of(value, header=""))

    schema = loaded(tmp_path / "a.csv", tmp_path).schema

    assert [column.name for column in schema.features] == ["column_1", "column_2"]
    assert (schema.label.name, schema.classes) == ("column_3", (0, 1))


def test_a_header_of_years_is_one_where_the_settings_say_so(tmp_path: Path):
    (tmp_path / "a.csv").write_text(rows_of(lambda row: row % 50, header="2019,2020,2021"))

    schema = loaded(tmp_path / "a.csv", tmp_path, csv=CsvConfig(header=True)).schema

    assert [column.name for column in schema.features] == ["2019", "2020"]


@pytest.mark.parametrize("value", [lambda row: row % 50, lambda row: "abc"[row % 3]])
def test_a_header_that_comes_again_is_no_row(value: Any, tmp_path: Path):
    (tmp_path / "a.csv").write_text(rows_of(value) * 2)

    result = prepared(tmp_path / "a.csv", tmp_path)

    assert result.manifest.rows == 2 * ROWS
    assert result.manifest.schema.classes == (0, 1)


def test_the_columns_of_a_folder_are_what_all_its_files_are(tmp_path: Path):
    for number, value in enumerate((lambda row: f"0{row % 3}", lambda row: f"9{row % 3}")):
        path = tmp_path / "data" / f"{number}.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_text(rows_of(value))

    assert_column(prepared(tmp_path / "data", tmp_path), "category", ("00", "01", "02", "90", "91", "92"))


def test_ids_of_many_digits_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level("INFO")
    (tmp_path / "a.csv").write_text(rows_of(lambda row: 10**16 + row))

    schema = loaded(tmp_path / "a.csv", tmp_path).schema

    assert [column.name for column in schema.features] == ["x"]
    assert "left out: 'c': 600 different texts in 600 rows" in caplog.text


def test_a_compressed_file_with_tabs(tmp_path: Path):
    (tmp_path / "a.tsv.gz").write_bytes(gzip.compress(rows_of(lambda row: row % 50, "\t").encode()))

    assert_column(prepared(tmp_path / "a.tsv.gz", tmp_path), "number", (0, 49))


def test_a_type_that_no_cell_is_of_is_refused(tmp_path: Path):
    (tmp_path / "a.csv").write_text(rows_of(lambda row: "abc"[row % 3]))

    with pytest.raises(DataError, match=r"a\.csv: column c: found no number in it, as data\.types says"):
        loaded(tmp_path / "a.csv", tmp_path, types={"c": "number"})
    with pytest.raises(DataError, match=r"no column d"):
        loaded(tmp_path / "a.csv", tmp_path, types={"d": "number"})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"delimiter": ";;"}, r"data\.csv\.delimiter: found ';;', expected one ASCII character"),
        ({"delimiter": "\n"}, r"data\.csv\.delimiter"),
        ({"encoding": "utf-99"}, r"data\.csv\.encoding: found 'utf-99', expected a text codec of Python"),
        ({"encoding": "zlib"}, r"data\.csv\.encoding"),
        ({"decimal": "'"}, r"data\.csv\.decimal"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(settings: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        CsvConfig(**settings)


def trained_on(path: Path, folder: Path, **data: Any) -> Any:
    config = Config(
        data=DataConfig(source=str(path), **data), training=TrainingConfig(epochs=1), runs_folder=str(folder / "runs")
    )
    return load_predictor(run_stages(config).path)


LEARNT: dict[str, tuple[pa.Array, Callable[[int], Any]]] = {
    "digits that were text": (pa.array([str(row % 3) for row in range(ROWS)]), lambda row: row % 3),
    "codes that were numbers": (pa.array([row % 3 for row in range(ROWS)]), lambda row: f"00{row % 3}"),
    "words that were text": (
        pa.array([("true", "false")[row % 2] for row in range(ROWS)]),
        lambda row: ("true", "false")[row % 2],
    ),
    "numbers that were booleans": (pa.array([row % 2 == 0 for row in range(ROWS)]), lambda row: int(row % 2 == 0)),
    "dates that were timestamps": (
        pa.array([(18628 + row % 28) * 86_400 for row in range(ROWS)], pa.timestamp("s")),
        lambda row: f"2021-01-{1 + row % 28:02d}",
    ),
    "timestamps that were dates": (
        pa.array([18628 + row % 28 for row in range(ROWS)], pa.int32()).cast(pa.date32()),
        lambda row: f"2021-01-{1 + row % 28:02d} 00:00:00",
    ),
    "categories that were floats": (
        pa.array([None if row % 5 == 0 else float(row % 3) for row in range(ROWS)]),
        lambda row: "" if row % 5 == 0 else f"{row % 3}.0",
    ),
}


@pytest.mark.parametrize("name", LEARNT)
def test_what_training_learnt_of_a_column_governs_how_it_is_read(name: str, tmp_path: Path):
    values, written = LEARNT[name]
    table = pa.table(
        {"x": [row % 7 + 0.5 for row in range(ROWS)], "c": values, "label": [row % 2 for row in range(ROWS)]}
    )
    options = {"categories": ("c",)} if name.startswith("categories") else {}
    model = trained_on(Path(write(tmp_path / "a.parquet", table)), tmp_path, **options)
    (tmp_path / "b.csv").write_text(rows_of(written))

    scored = predict_files(model, str(tmp_path / "b.csv"), tmp_path / "out.parquet")

    assert pq.read_table(scored.path).equals(model.predict(table))


def test_words_where_training_had_numbers_are_refused_by_name(tmp_path: Path):
    (tmp_path / "a.csv").write_text(rows_of(lambda row: row % 50))
    model = trained_on(tmp_path / "a.csv", tmp_path)
    (tmp_path / "b.csv").write_text(rows_of(lambda row: "abc"[row % 3]))

    with pytest.raises(DataError, match=r"b\.csv: column c, row 0 or below: found string, expected a number as in"):
        predict_files(model, str(tmp_path / "b.csv"), tmp_path / "out.parquet")


def test_settings_of_reading_make_another_run_and_their_defaults_the_same(tmp_path: Path):
    default = Config(data=DataConfig(source="a.csv"))
    spelled_out = Config(data=DataConfig(source="a.csv", csv=CsvConfig(), types={}, null_labels="drop", keep=()))
    assert default == spelled_out
