"""`unbroken train --dry-run` says what would be trained, and trains and keeps nothing."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.contract import write_rows
from unbroken.cli.dry_run import SAMPLE_ROWS
from unbroken.cli.main import answer


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", None)
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return what a dry run says."""
    assert answer(["train", "--dry-run", *arguments]) == 0
    return capsys.readouterr().out


def test_it_shows_columns_split_inputs_memory_and_time_and_leaves_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str]
):
    source = write_rows(folder / "rows.parquet", "binary", rows=1000)

    shown = said(capsys, "--data.source", source)

    for part in (
        "colour    text     ",
        "task: binary, label is one of False, True",
        "8% of the rows validate",
        "split   720 train / 80 validation / 200 test",
        "inputs  4 numbers and 1 categories into ",
        "memory  the rows take 0.1 MiB, in memory",
        "s an epoch on this machine, 200 epochs at most: ",
        "Nothing was trained, and nothing kept.",
    ):
        assert part in shown
    assert shown.count("task: ") == 1
    assert "epoch 1" not in shown
    assert sorted(path.name for path in folder.rglob("*")) == ["rows.parquet", "temporary"]


def test_more_rows_than_memory_are_said_to_be_streamed(folder: Path, capsys: pytest.CaptureFixture[str]):
    draw = np.random.Generator(np.random.PCG64(0))
    rows = 8 * SAMPLE_ROWS
    table = {f"x{index}": draw.standard_normal(rows) for index in range(20)} | {"y": draw.standard_normal(rows)}
    pq.write_table(pa.table(table), folder / "rows.parquet")

    shown = said(
        capsys,
        *("--data.source", "rows.parquet", "--training.memory_limit", "6", "--training.shuffle_rows", "1024"),
        *("--training.epochs", "3", "--training.patience", "null", "--model.options", '{"hidden": [4]}'),
    )

    assert "memory  the rows take 10.5 MiB, streamed from disk, since training.memory_limit is 6 MiB" in shown
    assert "on this machine, 3 epochs: " in shown


def test_where_a_few_rows_cannot_stand_for_all_the_time_is_said_to_be_unknown(
    folder: Path, capsys: pytest.CaptureFixture[str]
):
    rows = 4 * SAMPLE_ROWS
    rare = np.zeros(rows, np.int8)
    rare[[1, 2, 3, 5, 6, 7, 9, 10, 11, 13]] = 1  # none of every fourth row
    x = np.random.Generator(np.random.PCG64(0)).standard_normal(rows)
    pq.write_table(pa.table({"x": x, "label": rare}), folder / "rows.parquet")

    shown = said(capsys, "--data.source", "rows.parquet")

    assert "time    unknown: the rows that are measured by cannot stand for all: " in shown
    assert "found only the value 0" in shown


def test_what_a_training_refuses_it_refuses_too(folder: Path, capsys: pytest.CaptureFixture[str]):
    source = write_rows(folder / "rows.parquet", "binary")

    assert answer(["train", "--dry-run", "--data.source", source, "--training.batch_size", "4000"]) == 2
    assert "training.batch_size: found 4000" in capsys.readouterr().err
