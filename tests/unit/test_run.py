"""A run is known by its settings and data, and bad input leaves none behind."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.stages import HALVES, hundred, opened, write
from unbroken.config import Config, DataConfig, ModelConfig
from unbroken.errors import ConfigError, DataError, LockedError, TrainingError
from unbroken.run import Run, delete_on_bad_input, describe, open_run

ROOT = Path(__file__).parents[2]
ROWS = [float(row) for row in range(100)]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run that has begun: an intermediate file, no checkpoint."""
    _, run = opened(write(tmp_path / "a.parquet", hundred(ROWS)), tmp_path)
    run.data.mkdir(parents=True)
    (run.data / "dataset.json").write_text("{}")
    return run


def test_opening_a_run_writes_nothing(tmp_path: Path):
    opened(write(tmp_path / "a.parquet", hundred(ROWS)), tmp_path)

    assert not (tmp_path / "runs").exists()


def test_the_same_settings_and_data_are_the_same_run_wherever_they_lie(tmp_path: Path):
    _, one = opened(write(tmp_path / "a.parquet", hundred(ROWS)), tmp_path / "one")
    _, two = opened(write(tmp_path / "b.parquet", hundred(ROWS)), tmp_path / "two")

    assert one.key == two.key
    assert one.folder != two.folder


def test_an_edited_model_is_another_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(tmp_path)
    config = Config(data=DataConfig(source="sample"), model=ModelConfig(factory="edited_model:build"))
    (tmp_path / "edited_model.py").write_text("RATE = 1")
    before = open_run(config)
    (tmp_path / "edited_model.py").write_text("RATE = 2")

    assert open_run(config).key != before.key


def test_a_run_says_what_its_key_is_made_of(tmp_path: Path):
    config, run = opened(write(tmp_path / "a.parquet", hundred(ROWS)), tmp_path)

    describe(run, config)

    told = json.loads((run.path / "run.json").read_text())
    assert told["data_sha256"] == run.fingerprint
    assert told["training"]["optimizer"] == "Adam"
    assert str(tmp_path) not in json.dumps(told)


@pytest.mark.parametrize("error", [DataError("bad"), ConfigError("bad")])
def test_bad_input_leaves_no_new_run(error: Exception, run: Run):
    with pytest.raises(type(error)), delete_on_bad_input(run):
        raise error

    assert not run.path.exists()
    assert run.path.parent.exists()


@pytest.mark.parametrize(
    "error", [TrainingError("diverged"), LockedError("busy"), OSError("disk full"), KeyError("bug")]
)
def test_anything_else_leaves_the_run_as_it_is(error: Exception, run: Run):
    with pytest.raises(type(error)), delete_on_bad_input(run):
        raise error

    assert (run.data / "dataset.json").exists()


@pytest.mark.parametrize(
    "kept", ["checkpoints/epoch-0001.0123456789abcdef.pth", "checkpoints/a.corrupt", "checkpoint.pth"]
)
def test_a_run_with_a_checkpoint_stays(kept: str, run: Run):
    (run.path / kept).parent.mkdir(exist_ok=True)
    (run.path / kept).write_bytes(b"")

    with pytest.raises(DataError), delete_on_bad_input(run):
        raise DataError("bad")

    assert (run.data / "dataset.json").exists()


def test_a_run_that_another_process_trains_stays(run: Run):
    hold = f"from filelock import FileLock\nwith FileLock({str(run.lock)!r}):\n print('held', flush=True)\n input()"
    with subprocess.Popen(
        [sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(DataError), delete_on_bad_input(run):
            raise DataError("bad")
        assert (run.data / "dataset.json").exists()
        other.communicate("\n")

    with pytest.raises(DataError), delete_on_bad_input(run):
        raise DataError("bad")
    assert not run.path.exists()


def test_a_run_that_never_began_is_no_trouble(tmp_path: Path):
    _, run = opened(write(tmp_path / "a.parquet", {"x": ROWS, "label": HALVES}), tmp_path)

    with pytest.raises(DataError), delete_on_bad_input(replace(run, folder=str(tmp_path / "runs/never"))):
        raise DataError("bad")

    assert not (tmp_path / "runs").exists()
