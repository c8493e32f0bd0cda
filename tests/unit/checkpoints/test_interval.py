"""When a checkpoint pays."""

import math

import numpy as np
import pytest

from tests.contract import assert_resumes_identically, run_stages, write_rows
from unbroken.checkpoints.interval import best_interval
from unbroken.config import CheckpointConfig, Config, DataConfig, TrainingConfig
from unbroken.errors import ConfigError
from unbroken.run import open_run
from unbroken.storage.journal import Journal


@pytest.mark.parametrize(("cost", "between_failures"), [(0.02, 86_400.0), (5.0, 3_600.0), (60.0, 600.0)])
def test_the_interval_wastes_no_more_than_any_other(cost: float, between_failures: float):
    def wasted(interval: np.ndarray | float) -> np.ndarray | float:
        # Daly's model: the expected time to get an interval of work done and saved, when failures come at random.
        return between_failures * np.expm1((interval + cost) / between_failures) / interval

    chosen = best_interval(cost, between_failures)

    others = np.geomspace(chosen / 100, chosen * 100, 20_001)
    assert wasted(chosen) <= np.min(wasted(others)) * (1 + 1e-3)


def test_a_checkpoint_that_costs_more_than_failures_leave_time_for_is_written_once_between_two():
    assert best_interval(100.0, 50.0) == 50.0


def test_a_costly_checkpoint_is_rarer_and_a_frailer_machine_has_more():
    assert best_interval(1.0, 3600.0) < best_interval(4.0, 3600.0)
    assert best_interval(1.0, 3600.0) < best_interval(1.0, 14400.0)


def test_the_interval_changes_when_checkpoints_are_written_and_not_what_is_in_the_last(tmp_path):
    def config(hours: float) -> Config:
        return Config(
            data=DataConfig(source=write_rows(tmp_path / "rows.parquet", "binary")),
            training=TrainingConfig(epochs=3, batch_size=8),
            checkpoint=CheckpointConfig(every_seconds="auto", hours_between_failures=hours),
            runs_folder=str(tmp_path / f"runs {hours}"),
        )

    published = {hours: run_stages(config(hours)).digest for hours in (1e-9, 24.0)}
    written = {hours: len(Journal(open_run(config(hours)).journal).events()) for hours in (1e-9, 24.0)}

    assert published[1e-9] == published[24.0]
    assert written[1e-9] > written[24.0]
    assert_resumes_identically(config(1e-9), [3, 30], tmp_path)


@pytest.mark.parametrize("seconds", [0, -1.0, math.nan, "often"])
def test_an_interval_that_is_none_is_refused(seconds):
    with pytest.raises(ConfigError, match=r"checkpoint\.every_seconds"):
        CheckpointConfig(every_seconds=seconds)
