"""Predictions never destroy what is no prediction."""

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.contract import run_stages, write_rows
from unbroken.config import Config, DataConfig, TrainingConfig
from unbroken.errors import DataError
from unbroken.serving.prediction import Predictor, load_predictor
from unbroken.serving.scoring import predict_files


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    folder = tmp_path_factory.mktemp("model")
    source = write_rows(folder / "rows.parquet", "binary")
    config = Config(
        data=DataConfig(source=source),
        training=TrainingConfig(epochs=1, batch_size=64),
        runs_folder=str(folder / "runs"),
    )
    return load_predictor(run_stages(config).path)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    for name in ("a", "b"):
        write_rows(folder / f"{name}.parquet", "binary")
    return folder


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("rows", "target"),
    [
        ("a.parquet", "a.parquet"),
        ("a.parquet", "./../source/a.parquet"),
        ("a.parquet", "link.parquet"),
        ("a.parquet", "hard.parquet"),
        (".", "a.parquet"),
        (".", "new.parquet"),
        (".", "below/new.parquet"),
        ("*.parquet", "b.parquet"),
        ("*.parquet", "new.parquet"),
    ],
)
def test_a_target_in_the_source_is_refused_and_no_byte_changes(
    rows: str, target: str, source: Path, predictor: Predictor
):
    (source / "link.parquet").symlink_to("a.parquet")
    os.link(source / "a.parquet", source / "hard.parquet")
    previous = contents(source)

    with pytest.raises(DataError, match="found the target in the source"):
        predict_files(predictor, str(source / rows), source / target, overwrite=True)

    assert contents(source) == previous


def test_a_file_that_holds_no_predictions_is_replaced_only_when_asked_for(
    source: Path, predictor: Predictor, tmp_path: Path
):
    target = tmp_path / "out.parquet"
    for content in (b"text", (source / "a.parquet").read_bytes()):
        target.write_bytes(content)
        with pytest.raises(DataError, match=r"out\.parquet: found a file that holds no predictions"):
            predict_files(predictor, str(source), target)
        assert target.read_bytes() == content

    result = predict_files(predictor, str(source), target, overwrite=True)

    assert pq.read_metadata(target).num_rows == result.rows == 480


def test_earlier_predictions_are_replaced(source: Path, predictor: Predictor, tmp_path: Path):
    for rows in ("a.parquet", "."):
        result = predict_files(predictor, str(source / rows), tmp_path / "out.parquet")

    assert pq.read_metadata(tmp_path / "out.parquet").num_rows == result.rows == 480


def test_a_folder_is_no_target(source: Path, predictor: Predictor, tmp_path: Path):
    (tmp_path / "out.parquet").mkdir()

    with pytest.raises(DataError, match="found a folder"):
        predict_files(predictor, str(source), tmp_path / "out.parquet")


def test_predictions_read_as_any_parquet_file(source: Path, predictor: Predictor, tmp_path: Path):
    predict_files(predictor, str(source / "a.parquet"), tmp_path / "out.parquet")

    table = pq.read_table(tmp_path / "out.parquet")

    assert table.schema.remove_metadata() == predictor.schema
    assert isinstance(table, pa.Table)
