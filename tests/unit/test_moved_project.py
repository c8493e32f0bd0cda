"""A copied or moved project answers for itself, whatever became of the original."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.contract import write_rows
from unbroken import pipeline
from unbroken.config import Config, DataConfig, ModelConfig, TrainingConfig
from unbroken.run import open_run
from unbroken.stages import finished
from unbroken.storage import atomic
from unbroken.storage.journal import Journal

RELATIVE = Config(
    data=DataConfig(source="rows.parquet"),
    model=ModelConfig(options={"hidden": [4]}),
    training=TrainingConfig(epochs=2, batch_size=64),
    runs_folder="runs",
)


def altered(original: Path) -> None:
    for path in original.rglob("checkpoint.pth"):
        path.write_bytes(b"something else")


AFTERWARDS: list[Callable[[Path], None]] = [lambda original: None, altered, shutil.rmtree]


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Finish a run in one folder and copy that to another, which becomes the current one."""
    original = tmp_path / "original"
    write_rows(original / "rows.parquet", "binary")
    monkeypatch.chdir(original)
    pipeline.train(RELATIVE)
    shutil.copytree(original, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return tmp_path / "copy"


@pytest.mark.parametrize("afterwards", AFTERWARDS, ids=["kept", "altered", "deleted"])
@pytest.mark.parametrize("absolute", [False, True])
def test_a_copy_of_a_finished_run_gives_its_own_checkpoint_and_trains_no_more(
    afterwards: Callable[[Path], None], absolute: bool, copy: Path
):
    afterwards(copy.with_name("original"))
    config = replace(RELATIVE, runs_folder=str(copy / "runs")) if absolute else RELATIVE
    run = open_run(config)
    events = Journal(run.journal).events()

    assert finished.load(run, config) is not None
    model = pipeline.train(config)

    assert model.path == run.published
    assert model.path.is_relative_to(copy)
    assert atomic.digest(model.path) == model.digest
    assert Journal(run.journal).events() == events


@pytest.mark.parametrize("name", ["checkpoint.pth", "data/train.parquet", "checkpoint.json"])
def test_a_copy_that_is_damaged_is_no_finished_run_though_the_original_is(name: str, copy: Path):
    run = open_run(RELATIVE)
    path, original = run.path / name, copy.with_name("original") / "runs" / run.key / name
    path.write_bytes(path.read_bytes()[:-1])

    assert finished.load(run, RELATIVE) is None
    model = pipeline.train(RELATIVE)

    assert model.path == run.published
    assert path.read_bytes() == original.read_bytes()


@pytest.mark.usefixtures("copy")
def test_no_path_in_the_record_of_a_finished_run_is_absolute():
    record = json.loads(open_run(RELATIVE).finished.read_text())

    paths = [record["restored"]["path"], *(file["path"] for file in record["files"])]
    assert [path for path in paths if Path(path).is_absolute()] == []


def test_a_record_with_absolute_paths_is_not_believed(copy: Path):
    run = open_run(RELATIVE)
    original = copy.with_name("original") / "runs" / run.key
    record = json.loads(run.finished.read_text())
    for file in (record["restored"], *record["files"]):
        file["path"] = str(original / file["path"])
    run.finished.write_text(json.dumps(record))

    assert finished.load(run, RELATIVE) is None
    assert pipeline.train(RELATIVE).path == run.published
