"""CSV files with more than a table in them: each is read as its table, or refused by what is wrong; a guess is said."""

from pathlib import Path

import pytest

from tests.unit.stages import loaded, prepared
from unbroken.errors import DataError

ROWS = "".join(f"{row % 7}.5,{row % 50},{row % 2}\n" for row in range(600))
LINES = ROWS.splitlines(keepends=True)
HEADER = "x,c,label\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Report of May\n\n" + HEADER + ROWS, "above the table: Report of May"),
        ("Report of May,,\n" + HEADER + ROWS, "above the table: Report of May"),
        ("# made by x\n# at y\n" + HEADER + ROWS, "above the table: # made by x; # at y"),
        ("sep=;\n" + (HEADER + ROWS).replace(",", ";"), "delimiter `;`, names in line 2"),
        (('"Report, of May"\n' + HEADER + ROWS).replace("\n", "\r\n"), "names in line 2"),
        ('"Report\nof May"\n' + HEADER + ROWS, "names in line 3"),
        (HEADER.replace(",", ", ") + ROWS.replace(",", ", "), "names in the first line"),
        ("\ufeff\ufeff" + HEADER + ROWS, "names in the first line"),
        ((HEADER.replace(",", ", ") + "".join(LINES[:75])) * 8, "7 rows that repeat the header"),
    ],
)
def test_what_stands_around_a_table_is_passed_over_and_said(
    text: str, words: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level("INFO")
    (tmp_path / "a.csv").write_bytes(text.encode())

    result = prepared(tmp_path / "a.csv", tmp_path, label="label")

    assert [column.name for column in result.manifest.schema.features] == ["x", "c"]
    assert {column.kind for column in result.manifest.schema.features} == {"number"}
    assert result.manifest.schema.classes == (0, 1)
    assert result.manifest.rows == text.count("\n") - text.split("label", maxsplit=1)[0].count("\n") - text.count(
        "label"
    )
    assert words in caplog.text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HEADER + ROWS.replace("\n", ",\n"), "left out: ''"),
        (
            HEADER + "".join(f'"{n}",{line}\n' for n, line in enumerate(ROWS.splitlines())),
            "the first holds names of rows",
        ),
    ],
)
def test_a_header_that_is_one_name_short_is_that_of_the_table(
    text: str, words: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level("INFO")
    (tmp_path / "a.csv").write_text(text)

    result = prepared(tmp_path / "a.csv", tmp_path, label="label")

    assert [(scale.name, scale.low, scale.high) for scale in result.encoder.numbers] == [("x", 0.5, 6.5), ("c", 0, 49)]
    assert words in caplog.text


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("".join(f"{'abc'[row % 3]},{'de'[row % 2]},{'yn'[row % 2]}\n" for row in range(600)), 2),
        ("".join(f"name{row % 9},{row % 50},{row % 2}\n" for row in range(600)), 2),
        ("".join(f"{'' if row == 0 else row % 7},{row % 50},{row % 2}\n" for row in range(600)), 2),
    ],
)
def test_a_first_row_of_values_is_a_row(text: str, columns: int, tmp_path: Path):
    (tmp_path / "a.csv").write_text(text)

    manifest = loaded(tmp_path / "a.csv", tmp_path)

    assert manifest.rows == 600
    assert [column.name for column in manifest.schema.features] == [f"column_{n + 1}" for n in range(columns)]


def test_numbers_that_are_taken_for_names_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (tmp_path / "a.csv").write_text("2019,2020,label\n" + ROWS)

    assert [column.name for column in loaded(tmp_path / "a.csv", tmp_path).schema.features] == ["2019", "2020"]
    assert "took the first line for names, though 2019, 2020 could be values (data.csv.header)" in caplog.text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            HEADER + ROWS + "Source: office\n",
            r"found a row of 1 fields, expected 3 as there are columns: 'Source: office'",
        ),
        (HEADER + ROWS + "1,2,3,4\n", r"found a row of 4 fields, expected 3 .* '1,2,3,4'. Mend or delete it"),
        (
            "x, c, label\n" + "".join(f'{row % 7}, "a,{row % 3}", {row % 2}\n' for row in range(600)),
            r"found a row of 4 fields, expected 3",
        ),
        (HEADER + "1,2,3,4\n2,3,4,5\n", r"found a row of 4 fields, expected 3"),
        (HEADER + ROWS.replace(".", ","), r"found a row of 4 fields, expected 3"),
        (HEADER + "".join(f"2021-01-01 10:00:00,{row:03d},1,2\n" for row in range(600)), r"found a row of 4 fields"),
        ((HEADER + ROWS).replace(",", "^"), r"no feature is left.*name data\.csv\.delimiter"),
    ],
)
def test_a_row_that_does_not_fit_is_shown(text: str, message: str, tmp_path: Path):
    (tmp_path / "a.csv").write_text(text)

    with pytest.raises(DataError, match=message):
        loaded(tmp_path / "a.csv", tmp_path)


def test_an_encoding_that_is_guessed_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    names = ("Москва", "Казань")
    (tmp_path / "a.csv").write_bytes(
        (HEADER + "".join(f"1,{names[n % 2]},{n % 2}\n" for n in range(99))).encode("cp1251")
    )

    loaded(tmp_path / "a.csv", tmp_path)

    assert "no UTF-8, so read as Windows-1252; if letters look wrong, name data.csv.encoding" in caplog.text
