"""A whole sweep in this process: the best as a run, more trials, and one that is over."""

import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.sweeps.sweeps import configure, write_source
from unbroken.config import TrainingConfig
from unbroken.errors import ConfigError, TrainingError
from unbroken.pipeline import train
from unbroken.run_name import named
from unbroken.storage import atomic
from unbroken.sweeps.result import SweepResult, Trials
from unbroken.sweeps.run import run_sweep
from unbroken.sweeps.settings import SweepConfig
from unbroken.sweeps.sweep import Sweep


def small(folder: Path, trials: int = 2, name: str | None = None) -> SweepConfig:
    config = configure(folder, trials=trials)
    return replace(config, train=replace(config.train, name=name, training=TrainingConfig(epochs=2)))


def told(result: SweepResult) -> dict:
    return json.loads(Path(result.folder, "sweep.json").read_bytes())


def test_a_sweep_that_is_over_trains_nothing_and_one_of_more_trials_goes_on(tmp_path: Path):
    write_source(tmp_path)
    first = run_sweep(small(tmp_path))
    trials = told(first)["trials"]
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.pth")}

    again = run_sweep(small(tmp_path))

    assert again == first
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.pth")} == files

    more = run_sweep(small(tmp_path, trials=3))

    assert more.folder == first.folder
    assert told(more)["trials"][:2] == trials
    assert len(told(more)["trials"]) == 3


def test_the_best_is_a_run_with_a_name_and_alone_scored_on_the_test_rows(tmp_path: Path):
    write_source(tmp_path)

    result = run_sweep(small(tmp_path, name="best"))

    (folder,) = named(tmp_path / "runs", "best")
    assert Path(result.path) == folder / "checkpoint.pth"
    assert atomic.digest(Path(result.path)) == result.digest
    assert "test_loss" in json.loads((folder / "checkpoint.json").read_bytes())["test_metrics"]
    trials = told(result)["trials"]
    assert result.value == min(trial["value"] for trial in trials if trial["state"] == "complete")
    assert not list(Path(result.folder).rglob("checkpoint.pth"))
    assert not any("test_" in path.read_text() for path in Path(result.folder).glob("runs/*/journal.jsonl"))


def test_a_best_that_was_trained_further_stays_as_it_is_and_is_published_beside_the_trials(tmp_path: Path):
    write_source(tmp_path)
    config = small(tmp_path)
    best = Sweep.open(config)
    first = run_sweep(config)
    settings = Trials.read(best).record.proposals[first.trial].settings
    longer = best.best_config(settings)
    train(replace(longer, training=replace(longer.training, epochs=3)))

    again = run_sweep(config)

    assert again.digest == first.digest
    assert Path(again.path).is_relative_to(again.folder)
    assert atomic.digest(Path(again.path)) == again.digest


def test_a_name_that_another_run_has_is_refused_before_any_work(tmp_path: Path):
    write_source(tmp_path)
    run_sweep(small(tmp_path, name="taken"))
    other = replace(small(tmp_path, name="taken"), seed=1)

    with pytest.raises(ConfigError, match="name: found taken, which"):
        run_sweep(other)

    assert len(list((tmp_path / "sweeps").iterdir())) == 1


def test_trials_that_diverge_or_cannot_be_trained_are_failed_and_if_all_are_it_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    write_source(tmp_path)
    (tmp_path / "space.toml").write_text('"training.optimizer" = { choices = ["Adamm", "Adamn"] }')

    with caplog.at_level(logging.INFO), pytest.raises(TrainingError) as refusal:
        run_sweep(small(tmp_path))

    assert "found none of 2 trials complete, expected one: training.optimizer: found 'Adamm'" in str(refusal.value)
    trials = Trials.read(Sweep.open(small(tmp_path)))
    assert [outcome.state for _, outcome in trials.ended] == ["failed", "failed"]
    assert "trial 0 of 2  training.optimizer Adam" in caplog.text
