"""Train a part of a run again, from a checkpoint that it kept, and compare the bytes of all that it kept after it."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from unbroken.catalog.summary import RunFolder
from unbroken.checkpoints.background import BackgroundWriter
from unbroken.checkpoints.inspection import differences, entries
from unbroken.checkpoints.store import CheckpointStore, Entry
from unbroken.config import ResumeConfig
from unbroken.errors import CheckpointError, DataError
from unbroken.pipeline import Prepared, prepare
from unbroken.reproducibility.determinism import reproducible
from unbroken.run import open_run
from unbroken.storage.journal import Journal
from unbroken.storage.temporary import temporary_folder
from unbroken.training.hooks import Hooks, TrainHook
from unbroken.training.inputs import TrainingInputs
from unbroken.training.loop import TrainLoop
from unbroken.training.moving_average import configured_hooks
from unbroken.training.resume import resume_or_start
from unbroken.training.signals import StopRequest
from unbroken.training.state import TrainState


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """A checkpoint that was trained again.

    Attributes:
        entry: The checkpoint as the run kept it.
        differences: The name and both values, in words, of each leaf that came out otherwise; none if the bytes are equal.
    """

    entry: Entry
    differences: tuple[tuple[str, str, str], ...]


class StopAt(TrainHook):
    """Asks the loop to save and stop where a checkpoint was kept: at the end of an epoch, or after a step inside one."""

    reads_only = True

    def __init__(self, entry: Entry, stop: StopRequest) -> None:
        self.entry, self.stop = entry, stop

    def on_step(self, state: TrainState, loss: Tensor) -> None:  # noqa: ARG002 (a hook's signature)
        """Stop after the step of a checkpoint inside an epoch."""
        if state.step == self.entry.step:
            self.stop.ask()

    def on_epoch(self, state: TrainState, entry: dict[str, float]) -> None:  # noqa: ARG002 (a hook's signature)
        """Stop at the end of the epoch of any other."""
        if not self.entry.step and state.epoch == self.entry.epoch:
            self.stop.ask()


def replay(
    folder: Path, epoch: int | None = None, step: int = 0, hooks: Sequence[TrainHook] = ()
) -> Iterator[Replayed]:
    """Train again from a kept checkpoint of a run, and yield each later one beside what came out of it; the run is left as it is.

    Args:
        folder: The run's folder.
        epoch: Of the checkpoint to begin with, 0 for the beginning; that of the oldest one when not given.
        step: Of a checkpoint inside the next epoch, by the steps since the beginning; 0 for the end of the epoch.
        hooks: Those that the run was trained with.

    Raises:
        CheckpointError: There is no such checkpoint, or none after it.
        DataError: The data are no longer those of the run, or its settings were not kept.
    """
    config = RunFolder(folder).configuration()
    first, later = _parts(entries(folder), epoch, step, folder)
    with temporary_folder(folder.parent, folder.name) as parent:
        config = replace(
            config,
            runs_folder=str(parent),
            name=None,
            checkpoint=replace(config.checkpoint, every_steps=None, every_seconds=None),
            resume=ResumeConfig(accept_code=True),
        )
        run = open_run(config)
        if run.key != folder.name:
            raise DataError(
                f"{folder}: the data or the model's source are no longer those of the run, but those of {run.key}"
            )
        prepared = prepare(config, run)
        run.checkpoints.mkdir()
        for path in [folder / "code.json", *([first.path] if first else [])]:
            shutil.copy2(path, run.path / path.relative_to(folder))
        yield from _train_again(prepared, later, hooks)


def _parts(kept: list[Entry], epoch: int | None, step: int, folder: Path) -> tuple[Entry | None, list[Entry]]:
    """Return the checkpoint to begin with, None for the beginning, and those after it in their order."""
    in_order = sorted(kept, key=lambda entry: entry.order)
    order = in_order[0].order if epoch is None else (epoch, step)
    first = next((entry for entry in in_order if entry.order == order), None)
    later = [entry for entry in in_order if entry.order > order]
    words = ", ".join(entry.describe() for entry in in_order)
    if first is None and order != (0, 0):
        raise CheckpointError(
            f"{folder}: found no checkpoint of epoch {epoch}, step {step}; kept are: {words}, or begin with epoch 0"
        )
    if not later:
        raise CheckpointError(
            f"{folder}: found no checkpoint after epoch {order[0]}, step {order[1]} to compare with; kept are: {words}"
        )
    return first, later


def _train_again(prepared: Prepared, later: list[Entry], own_hooks: Sequence[TrainHook]) -> Iterator[Replayed]:
    config, run = prepared.config, prepared.run
    journal, hooks = Journal(run.journal), [*configured_hooks(config.training), *own_hooks]
    store = CheckpointStore(run.checkpoints, journal, keep_last=1)
    with reproducible(config.training.threads, wait=config.checkpoint.wait):
        inputs = TrainingInputs.read(config, prepared.splits, prepared.preprocessed.encoder, run)
        state, _ = resume_or_start(inputs, store, journal, Hooks(hooks))
        for entry in later:
            stop = StopRequest()
            with BackgroundWriter() as writer:
                loop = TrainLoop(
                    inputs, state, store, journal, writer, stop, hooks=Hooks([*hooks, StopAt(entry, stop)])
                )
                loop.run()
            yield _compared(entry, loop.saved)


def _compared(entry: Entry, saved: Entry | None) -> Replayed:
    if saved is None or saved.order != entry.order:
        raise CheckpointError(
            f"{entry.path}: the run does not come by its place: it is at {saved and saved.describe()}"
        )
    if saved.digest == entry.digest:
        return Replayed(entry=entry, differences=())
    return Replayed(entry=entry, differences=tuple(differences(entry.read(), saved.read())))
