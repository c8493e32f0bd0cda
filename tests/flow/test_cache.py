"""A result is used again exactly as long as it is still true."""

import json
import shutil
from pathlib import Path

import pytest

from flows.train import train
from tests.flow.conftest import ROOT, Terminal
from unbroken.config import Config, DataConfig, TrainingConfig

STAGES = ["load_data", "preprocess", "split", "train", "save_checkpoint", "load_checkpoint"]

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(
        data=DataConfig(source="sample"), training=TrainingConfig(epochs=2), runs_folder=str(tmp_path / "runs")
    )


def only(folder: Path) -> Path:
    """Return the one run in a runs folder."""
    (run,) = folder.iterdir()
    return run


@pytest.mark.parametrize("gone", ["data", "data/train.parquet", "checkpoints", "checkpoint.pth", "results"])
def test_what_was_deleted_is_made_again_and_no_path_is_returned_that_does_not_exist(
    gone: str, config: Config, tmp_path: Path
):
    first = train(config)
    content = Path(first.path).read_bytes()
    target = only(tmp_path / "runs") / gone
    shutil.rmtree(target) if target.is_dir() else target.unlink()

    again = train(config)

    assert target.exists()
    assert Path(again.path).read_bytes() == content


def test_a_changed_file_is_noticed_and_made_again(config: Config, tmp_path: Path):
    first = train(config)
    content = Path(first.path).read_bytes()
    changed = only(tmp_path / "runs") / "data" / "train.parquet"
    whole = changed.read_bytes()
    changed.write_bytes(whole[:1000] + bytes([whole[1000] ^ 1]) + whole[1001:])

    again = train(config)

    assert changed.read_bytes() == whole
    assert Path(again.path).read_bytes() == content


def test_results_are_json_in_the_runs_own_folder(config: Config, tmp_path: Path):
    train(config)

    results = {
        path.name.rsplit("-", 1)[0]: json.loads(path.read_bytes())
        for path in (only(tmp_path / "runs") / "results").iterdir()
    }

    assert sorted(results) == sorted(STAGES)
    assert {record["metadata"]["serializer"]["type"] for record in results.values()} == {"verified-json"}


@pytest.mark.slow
def test_an_edited_library_never_serves_a_stale_result(terminal: Terminal, tmp_path: Path):
    copy = tmp_path / "copy"
    for folder in ("flows", "tasks", "unbroken"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    arguments = ("--data.source", "sample", "--training.epochs", "2")
    terminal(*arguments, folder=copy)
    assert "Nothing to do" in terminal(*arguments, folder=copy).stdout
    next((tmp_path / "runs").glob("*/finished.json")).unlink()
    assert terminal(*arguments, folder=copy).stdout.count("(cached)") == len(STAGES)

    with open(copy / "unbroken" / "features" / "encoder.py", "a") as file:
        file.write("\nEDITED = True\n")

    edited = terminal(*arguments, folder=copy)
    assert edited.returncode == 0, edited.stderr
    assert "preprocess " in edited.stdout
    assert "(cached)" not in edited.stdout
