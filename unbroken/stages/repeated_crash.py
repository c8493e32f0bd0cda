"""A training whose process is killed twice in a row at one step stops there, and names the rows of that step."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from unbroken.batches.epoch import steps_per_epoch
from unbroken.batches.order import rows_at
from unbroken.config import Config
from unbroken.data.dataset import Manifest, SplitDatasets
from unbroken.data.parquet import read_slices
from unbroken.data.permutation import Index
from unbroken.data.sources import local_path
from unbroken.data.split import TRAIN
from unbroken.errors import TrainingError
from unbroken.run import Run
from unbroken.storage.artifact import from_json
from unbroken.storage.journal import Journal
from unbroken.training.last_step import LastStep, Place

DEATHS = 2
"""How often in a row a process must die at one step for the step to be the cause."""

SHOWN = 10
"""Rows that a message names; the journal has all."""


@contextmanager
def stopping_at_repeated_crash(
    config: Config, splits: SplitDatasets, run: Run, crashed: Callable[[int], bool]
) -> Generator[LastStep]:
    """Yield a hook that raises TrainingError where a training would come to the same end once more.

    Args:
        config: The run's settings.
        splits: The preprocessed parts.
        run: The run.
        crashed: Tells whether so many last attempts all crashed, none of them was taken away.
    """
    steps = steps_per_epoch(splits.train.rows, config.training.step_rows)

    def killed(place: Place, deaths: int) -> None:
        if deaths >= DEATHS and crashed(deaths):
            raise repeated_crash(config, splits, run, place, deaths)

    hook = LastStep(run.path / "last-step", steps, killed)
    try:
        yield hook
    finally:
        hook.close()


def repeated_crash(config: Config, splits: SplitDatasets, run: Run, place: Place, deaths: int) -> TrainingError:
    """Note in the journal where a training died so often, and return the error that says it."""
    steps = steps_per_epoch(splits.train.rows, config.training.step_rows)
    epoch, step = divmod(place.steps, steps)
    begin = f"{run.folder}: the process was killed {deaths} times in a row"
    end = (
        "It is not started again: mend the cause (memory, a defect of the model's code, these rows), then retry the run"
    )
    if place.steps and not step and not place.evaluated:
        Journal(run.journal).append("killed again", deaths=deaths, epoch=epoch)
        return TrainingError(
            f"{begin} in the evaluation after epoch {epoch}. {end} to go on from its newest checkpoint"
        )
    size, rows = config.training.step_rows, splits.train.rows
    numbers = rows_at(
        rows, config.training.shuffle_rows, config.training.seed, epoch, step * size, min(rows, (step + 1) * size)
    )
    names = source_rows(run.data, numbers)
    Journal(run.journal).append("killed again", deaths=deaths, epoch=epoch + 1, step=step + 1, rows=names)
    return TrainingError(
        f"{begin} at step {step + 1} of epoch {epoch + 1} (step {place.steps + 1} of the run). Its {len(numbers)} rows are "
        f"{_shown(names, run.journal)}. {end} to go on from its newest checkpoint"
    )


def source_rows(data: Path, numbers: Index) -> dict[str, list[int]]:
    """Return which rows of which files of the source some training rows are, counted from 0.

    Args:
        data: The folder of a run's data.
        numbers: Numbers of rows among those that train.
    """
    manifest = from_json(Manifest, (data / "dataset.json").read_bytes(), str(data / "dataset.json"))
    of_all = np.sort(np.flatnonzero(np.fromfile(data / "split.bin", np.uint8) == TRAIN)[numbers])
    names: dict[str, list[int]] = {}
    start = 0
    for part in read_slices(manifest.files, [manifest.schema.label.name]):
        inside = of_all[(of_all >= start) & (of_all < start + len(part))] - start
        start += len(part)
        if len(inside):
            indices = inside if part.indices is None else part.indices.to_numpy()[inside]
            name = local_path(part.file.name) or part.file.name
            names.setdefault(name, []).extend((part.start + indices).tolist())
    return names


def _shown(names: dict[str, list[int]], journal: Path) -> str:
    left, parts = SHOWN, []
    for file, rows in names.items():
        if left:
            parts.append(f"{file}: {', '.join(map(str, rows[:left]))}")
            left -= len(rows[:left])
    more = sum(map(len, names.values())) - SHOWN
    return "; ".join(parts) + (f", and {more} more, which {journal} names" if more > 0 else "")
