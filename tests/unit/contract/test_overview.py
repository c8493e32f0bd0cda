"""What a person is shown of a table before it trains: each column with its kind, an example, what is missing, and its use."""

import logging
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.contract import run_stages
from tests.unit.stages import loaded, write
from unbroken.config import Config, DataConfig, TrainingConfig

ROWS = 100
TABLE: dict[str, Any] = {
    "age": [None if row == 0 else float(row % 7) for row in range(ROWS)],
    "colour": [("red", "green")[row % 2] for row in range(ROWS)],
    "code": [row % 3 for row in range(ROWS)],
    "flag": [row % 2 == 0 for row in range(ROWS)],
    "day": [date(2021, 1, 1 + row % 28) for row in range(ROWS)],
    "when": pa.array([datetime(2021, 1, 1, row % 24) for row in range(ROWS)], pa.timestamp("us", "Europe/Berlin")),
    "took": pa.array([90 + row for row in range(ROWS)], pa.duration("s")),
    "same": ["x"] * ROWS,
    "empty": pa.nulls(ROWS),
    "row": list(range(ROWS)),
    "n" * 40: [row / 3 for row in range(ROWS)],
    "label": [("no", "yes", None)[row % 3] for row in range(ROWS)],
}
SHOWN = """\
67 rows
column                    kind       example              missing  distinct  use
age                       number     1.0                  1        7         number
colour                    text       red                  0        2         category
code                      number     0                    0        2         category
flag                      boolean    True                 0        2         boolean
day                       date       2021-01-01           0        28        date
when                      timestamp  2021-01-01 00:00:00  0        16        timestamp
took                      duration   90 s                 0        67        duration
nnnnnnnnnnnnnnnnnnnnn...  number     0.0                  0        67        number
empty                     null                            67       0         left out: no value in any row
same                      text       x                    0        1         left out: one value in every row
row                                                                          left out: data.exclude
label                     text       no                   0        2         label
task: binary, label is one of no, yes"""


def shown(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "unbroken.contract.check"]


def test_the_contract_of_a_table_is_shown(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    source = write(tmp_path / "a.parquet", TABLE)

    loaded(source, tmp_path, label="label", categories=("code",), exclude=("row",))

    *_, dropped, first = [line for line in shown(caplog) if line.startswith(source)]
    lines = shown(caplog)[shown(caplog).index(first) + 1 :]
    assert dropped == f"{source}: 33 of 100 rows have no label and do not train (data.null_labels)"
    assert [first.removeprefix(f"{source}: "), *(line.rstrip() for line in lines)] == SHOWN.splitlines()


def test_it_is_shown_before_anything_is_trained(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    source = write(
        tmp_path / "a.parquet", {"x": [row / 8 for row in range(ROWS)], "y": [row % 2 for row in range(ROWS)]}
    )

    run_stages(
        Config(data=DataConfig(source=source), training=TrainingConfig(epochs=1), runs_folder=str(tmp_path / "runs"))
    )

    said = [record.getMessage() for record in caplog.records]
    task, training = (
        next(n for n, line in enumerate(said) if words in line) for words in ("task: binary", "training from")
    )
    assert task < training


@pytest.mark.parametrize(
    ("label", "task"),
    [
        ([row / 3 for row in range(ROWS)], "task: regression of label"),
        (
            [f"class {row % 14:02d}" for row in range(ROWS)],
            "task: multiclass, label is one of class 00, class 01, class 02",
        ),
    ],
)
def test_the_task_and_its_classes_are_shown(
    label: list[Any], task: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)

    loaded(write(tmp_path / "a.parquet", {"x": [row / 8 for row in range(ROWS)], "label": label}), tmp_path)

    assert shown(caplog)[-1].startswith(task)
    assert ("... 4 more" in shown(caplog)[-1]) == (task.startswith("task: multiclass"))


def test_of_a_wide_table_the_first_columns_are_shown(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    columns = {f"x{column:03d}": [float(row % (column + 2)) for row in range(ROWS)] for column in range(230)}

    loaded(write(tmp_path / "a.parquet", columns | {"label": [row % 2 for row in range(ROWS)]}), tmp_path)

    assert any(line.startswith("... 30 more") for line in shown(caplog))
    assert len(shown(caplog)) == 1 + 1 + 200 + 1 + 1 + 1
    assert max(map(len, shown(caplog))) < 120


def test_names_and_values_are_shown_without_control_characters(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    columns = {"x\x1b[31m": ["a\nb", "c"] * 50, "y\r": ["\x07"] * 100, "label": ["\x1b]0;no", "yes"] * 50}

    loaded(write(tmp_path / "a.parquet", columns), tmp_path)

    table = [line for line in shown(caplog) if "left out: " not in line or "in every row" in line[-15:]]
    assert [line for line in table if any(ord(letter) < 32 for letter in line)] == []
