"""A process that is killed again and again at one step: the step is known to the next process, with its rows."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from tests.contract import StopAfter, Stopped, run_stages, write_rows
from unbroken import pipeline
from unbroken.batches.epoch import epoch_batches
from unbroken.batches.order import rows_at
from unbroken.batches.rows import Rows
from unbroken.config import Config, DataConfig, SplitConfig, TrainingConfig
from unbroken.data.split import TRAIN
from unbroken.errors import TrainingError
from unbroken.run import Run, open_run
from unbroken.stages.repeated_crash import source_rows, stopping_at_repeated_crash
from unbroken.storage.journal import Journal
from unbroken.training.last_step import LastStep, Place

Deaths = list[tuple[Place, int]]
BATCH = 8


@pytest.fixture
def config(tmp_path: Path) -> Config:
    write_rows(tmp_path / "rows" / "a.parquet", "binary", rows=60)
    write_rows(tmp_path / "rows" / "b.parquet", "binary", rows=40, seed=1)
    return Config(
        data=DataConfig(source=str(tmp_path / "rows")),
        split=SplitConfig(validation_fraction=0.0),
        training=TrainingConfig(epochs=3, batch_size=BATCH),
        runs_folder=str(tmp_path / "runs"),
    )


def kill_after(config: Config, steps: int) -> Deaths:
    """Train until right after so many steps of a process, which then leaves all as a kill does; return what it heard."""
    deaths: Deaths = []
    hook = LastStep(open_run(config).path / "last-step", 10, lambda place, times: deaths.append((place, times)))
    with suppress(Stopped):
        run_stages(config, [hook, StopAfter(steps)])
    return deaths


def test_the_next_process_hears_where_the_one_before_was_killed_and_how_often_in_a_row(config: Config):
    assert kill_after(config, 13) == []
    assert kill_after(config, 3) == [(Place(13, evaluated=False), 1)]
    assert kill_after(config, 4) == [(Place(13, evaluated=False), 2)]
    assert kill_after(config, 1) == [(Place(14, evaluated=False), 1)]


def test_a_training_that_ends_by_itself_leaves_no_trace_of_its_steps(config: Config):
    run = open_run(config)
    undisturbed = run_stages(replace(config, runs_folder=f"{config.runs_folder}-undisturbed"))

    kill_after(config, 13)
    prepared = pipeline.prepare(config, run)
    with stopping_at_repeated_crash(config, prepared.splits, run, lambda _: True) as hook:
        watched = run_stages(config, [hook])

    assert not (run.path / "last-step").exists()
    assert Path(watched.path).read_bytes() == Path(undisturbed.path).read_bytes()


def test_the_third_process_stops_and_names_the_rows_of_the_step_and_the_fourth_goes_on(config: Config):
    run = open_run(config)
    kill_after(config, 13)
    kill_after(config, 3)
    prepared = pipeline.prepare(config, run)

    with (
        pytest.raises(TrainingError) as stopped,
        stopping_at_repeated_crash(config, prepared.splits, run, lambda _: True) as hook,
    ):
        run_stages(config, [hook])

    (noted,) = [event for event in Journal(run.journal).events() if event["event"] == "killed again"]
    assert (noted["epoch"], noted["step"], noted["deaths"]) == (2, 4, 2)
    assert sum(map(len, noted["rows"].values())) == BATCH
    message = str(stopped.value)
    assert "was killed 2 times in a row at step 4 of epoch 2 (step 14 of the run). Its 8 rows are " in message
    for file, rows in noted["rows"].items():
        assert f"{file}: {', '.join(map(str, rows))}" in message
    with stopping_at_repeated_crash(config, prepared.splits, run, lambda _: True) as hook:
        assert run_stages(config, [hook]).epoch == 3


def test_a_process_that_was_taken_away_is_not_held_against_the_step(config: Config):
    run = open_run(config)
    kill_after(config, 13)
    kill_after(config, 3)
    asked: list[int] = []

    prepared = pipeline.prepare(config, run)
    with stopping_at_repeated_crash(
        config, prepared.splits, run, lambda attempts: bool(asked.append(attempts))
    ) as hook:
        run_stages(config, [hook])

    assert asked == [2]


@pytest.mark.parametrize(("rows", "shuffle_rows"), [(100, 1 << 19), (3000, 1024)])
def test_the_rows_of_a_step_are_those_that_its_batch_holds(rows: int, shuffle_rows: int):
    numbers = torch.arange(rows, dtype=torch.float32)[:, None]
    table = Rows(numbers, torch.zeros(rows, 0, dtype=torch.long), torch.zeros(rows))

    for step, batch in enumerate(epoch_batches(table, BATCH, 7, 2, shuffle_rows=shuffle_rows)):
        start = step * BATCH
        at = rows_at(rows, shuffle_rows, 7, 2, start, min(rows, start + BATCH))
        assert at.tolist() == batch.numbers[:, 0].long().tolist()


def test_training_rows_are_named_by_their_files_and_rows_in_them(config: Config, tmp_path: Path):
    run: Run = open_run(config)
    pipeline.prepare(config, run)
    parts = (run.data / "split.bin").read_bytes()
    first, last = parts.index(TRAIN), parts.rindex(TRAIN)

    names = source_rows(run.data, torch.tensor([0, parts.count(TRAIN) - 1]).numpy())

    rows = tmp_path / "rows"
    assert pq.read_metadata(rows / "a.parquet").num_rows == 60
    assert names == {str(rows / "a.parquet"): [first], str(rows / "b.parquet"): [last - 60]}
