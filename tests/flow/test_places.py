"""Flows where the source is replaced before it is read, and where a project was copied."""

import shutil
from pathlib import Path

import pytest

from flows.train import train
from tests.contract import run_stages, write_rows
from unbroken.config import Config, DataConfig, ModelConfig, TrainingConfig
from unbroken.run import open_run
from unbroken.stages import load_data

pytestmark = pytest.mark.usefixtures("prefect_server")


def configured(source: Path, runs: Path) -> Config:
    return Config(
        data=DataConfig(source=str(source)),
        model=ModelConfig(options={"hidden": [4]}),
        training=TrainingConfig(epochs=1, batch_size=64),
        runs_folder=str(runs),
    )


def test_a_source_replaced_before_stage_1_gives_the_run_of_the_new_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    source = Path(write_rows(tmp_path / "source.parquet", "binary", seed=1))
    other = Path(write_rows(tmp_path / "other.parquet", "binary", seed=2))
    config = configured(source, tmp_path / "runs")
    named, find_files = open_run(config), load_data.find_files

    def replaced(path: str) -> object:
        shutil.copy(other, source)
        return find_files(path)

    monkeypatch.setattr(load_data, "find_files", replaced)
    restored = train(config)

    assert Path(restored.path) == open_run(config).published != named.published
    assert restored.digest == run_stages(configured(other, tmp_path / "undisturbed")).digest


@pytest.mark.slow
def test_a_copied_project_gives_its_own_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    original, copy = tmp_path / "original", tmp_path / "copy"
    write_rows(original / "rows.parquet", "binary")
    config = configured(Path("rows.parquet"), Path("runs"))
    monkeypatch.chdir(original)
    first = train(config)
    shutil.copytree(original, copy)
    Path(first.path).write_bytes(b"something else")
    monkeypatch.chdir(copy)

    second = train(config)

    assert Path(second.path).is_relative_to(copy)
    assert (second.digest, second.metrics) == (first.digest, first.metrics)
