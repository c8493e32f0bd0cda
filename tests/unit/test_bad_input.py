"""Every case of bad input is refused before training starts, by name and value, and leaves the disk as it was."""

import hashlib
import os
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from tests.scorecard import Scorecard
from tests.unit.bad.cases import GOOD, Case, faults_of, table
from tests.unit.bad.columns import COLUMNS, LABELS, VALUES
from tests.unit.bad.files import FILES, URLS
from tests.unit.bad.settings import FOLDERS, SETTINGS, SPLITS
from unbroken.config import Config, DataConfig, TrainingConfig
from unbroken.errors import UnbrokenError
from unbroken.pipeline import prepare
from unbroken.run import open_run
from unbroken.stages.train import train
from unbroken.training.loop import TrainLoop

CATALOGUE = FILES | URLS | COLUMNS | VALUES | LABELS | SPLITS | SETTINGS | FOLDERS


class TrainingStarted(BaseException):
    """A bad input got through to the first step."""


def begin(config: Config) -> None:
    """Run the stages up to the first step of the training, which is one too far."""

    with mock.patch.object(TrainLoop, "step", side_effect=TrainingStarted):
        run = open_run(config)
        prepared = prepare(config, run)
        train(config, prepared.splits, prepared.preprocessed.encoder, run)


def configured(case: Case, source: str, runs: Path) -> Config:
    sections: dict[str, Any] = {"runs_folder": str(runs), "data": DataConfig(source=source, **case.data)}
    return Config(**sections | case.sections())


def disk(folder: Path) -> dict[str, tuple[int, str]]:
    """Return every name below a folder with its mode and content, but for the mark of who trained a run last."""
    paths = [path for path in sorted(folder.rglob("*")) if not path.is_symlink()]
    return {str(path): (path.stat().st_mode, _digest(path)) for path in paths if path.name != "owner"}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


@pytest.mark.parametrize("name", CATALOGUE)
def test_bad_input_is_refused_by_name_before_training_and_leaves_the_disk_as_it_was(
    name: str, tmp_path: Path, scorecard: Scorecard
):
    case = CATALOGUE[name]
    source = str(case.source(tmp_path))
    (tmp_path / "runs").mkdir()
    before = disk(tmp_path)

    with pytest.raises(UnbrokenError) as refused:
        begin(configured(case, source, tmp_path / "runs"))

    faults = faults_of(str(refused.value), case.says)
    faults += [] if disk(tmp_path) == before else ["the disk is not as it was"]
    scorecard.judge("bad inputs", ["; ".join(faults) or None])


def test_the_data_of_the_catalogue_is_good_where_it_should_be(tmp_path: Path):
    config = Config(
        data=DataConfig(source=str(table(GOOD)(tmp_path))),
        training=TrainingConfig(batch_size=72),
        runs_folder=str(tmp_path / "runs"),
    )

    with pytest.raises(TrainingStarted):
        begin(config)


def test_a_run_that_exists_is_left_as_it_is(tmp_path: Path):
    """Fewer epochs than are done: the run, its checkpoints and its journal stay."""
    config = Config(
        data=DataConfig(source=str(table(GOOD)(tmp_path))),
        training=TrainingConfig(batch_size=40, epochs=2),
        runs_folder=str(tmp_path / "runs"),
    )
    run = open_run(config)
    prepared = prepare(config, run)
    train(config, prepared.splits, prepared.preprocessed.encoder, run)
    before = disk(tmp_path)

    with pytest.raises(UnbrokenError, match=r"training\.epochs: found 1, but 2 are done in .*/runs/"):
        begin(
            Config(data=config.data, training=TrainingConfig(batch_size=40, epochs=1), runs_folder=config.runs_folder)
        )

    assert disk(tmp_path) == before


def test_a_runs_folder_that_cannot_be_written_is_refused(tmp_path: Path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    as_root = os.geteuid() == 0
    if as_root:
        os.seteuid(65534)  # root may write anywhere
    try:
        with pytest.raises(UnbrokenError, match=r"runs_folder: found .*, but .* is not writable"):
            open_run(Config(data=DataConfig(source="sample"), runs_folder=str(closed / "runs")))
    finally:
        if as_root:
            os.seteuid(0)


def test_the_catalogue_is_as_long_as_it_claims():
    assert len(CATALOGUE) >= 180
