"""How a resume decides: the run's newest whole checkpoint, else a warm start, else from scratch.

1. Checkpoints are tried from the newest on; a corrupt one is set aside, and the one before is tried. If none is whole, the
   training is refused: it never begins anew in silence.
2. The whole one must be of this run (settings, data, shapes, finite weights, hooks), and no further than the epochs asked
   for; else the training is refused.
3. Its code must be that which has trained so far (`code.json`: the parsed source, torch, the modules of a model of one's own);
   else the training is refused, unless `resume.accept_code` is set: that is noted in the journal, and the lineage says that
   the run is not exact. Nothing is refused where no step is left to train: stage 6 proves what was trained.
4. Another processor, instruction set, device or number of threads than before is warned of and noted in the journal.
5. With no checkpoint at all, the weights are those of `start.warm_from`, or drawn from the seed.
"""

import logging
from collections.abc import Generator
from contextlib import contextmanager

from unbroken.checkpoints.history import is_finished
from unbroken.checkpoints.store import CORRUPT, CheckpointStore, Entry
from unbroken.checkpoints.tree import Tree
from unbroken.code.record import CodeRecord, differing, naming_change, present_code, present_segment
from unbroken.errors import (
    CheckpointError,
    CodeChangedError,
    ConfigError,
    CorruptCheckpointError,
)
from unbroken.models.factory import check_one_row
from unbroken.models.learning import learn_inputs
from unbroken.storage.journal import Journal
from unbroken.training.hooks import Hooks
from unbroken.training.inputs import TrainingInputs
from unbroken.training.state import TrainState
from unbroken.training.warm_start import warm_start

log = logging.getLogger(__name__)

WAYS_OUT = (
    "Finish it with that version, go on with this one by --resume.accept_code true (it is noted, and the run is not called "
    "exact any more), or train it anew in another runs_folder"
)


def resume_or_start(
    inputs: TrainingInputs, store: CheckpointStore, journal: Journal, hooks: Hooks
) -> tuple[TrainState, Entry | None]:
    """Return the state to train from, and the checkpoint it came from if there is one.

    Raises:
        CheckpointError: There are checkpoints, but none is whole, or the newest whole one is of another run or of other code.
        ConfigError: More epochs are done than asked for, or `training.monitor` names a metric that there is not.
    """
    state = inputs.fresh_state()
    _require_monitor(inputs)
    check_one_row(state.model, inputs.features, len(inputs.train), inputs.config.training, inputs.device)
    newest = newest_whole(store)
    if newest is None:
        _start(inputs, state, store, journal)
        return state, None
    entry, tree = newest
    with _code_checked(inputs, entry, tree, store, journal):
        inputs.restore(state, tree, entry.path)
        hooks.restore(state, tree, entry.path)
    _require_epochs(inputs, state)
    _note_resume(inputs, state, entry, journal)
    _note_numerics(tree["numerics"], inputs.header["numerics"], journal)
    return state, entry


def newest_whole(store: CheckpointStore) -> tuple[Entry, Tree] | None:
    """Return the newest whole checkpoint, setting corrupt ones aside, or None if nothing was ever saved.

    Raises:
        CheckpointError: There were checkpoints, and none is whole.
    """
    entries = store.entries()
    for entry in entries:
        try:
            return entry.read_with_digest()
        except CorruptCheckpointError as error:
            store.set_aside(entry, str(error))
    if entries or any(store.folder.glob(f"*{CORRUPT}")):
        raise CheckpointError(
            f"{store.folder}: found only corrupt checkpoints (*{CORRUPT}). "
            f"Restore one from a backup, or move the folder away to train from the beginning"
        )
    return None


@contextmanager
def _code_checked(
    inputs: TrainingInputs, entry: Entry, tree: Tree, store: CheckpointStore, journal: Journal
) -> Generator[None]:
    """Refuse or note other code than trained so far, around restoring a checkpoint; a misfit names the change too."""
    record, code = CodeRecord.read(inputs.run.code, journal), present_code(inputs.config.chosen.model.factory)
    change = record.change(code)
    finished = is_finished(tree["history"], inputs.config.chosen)
    if change and not finished and not inputs.config.resume.accept_code:
        raise CodeChangedError(f"{entry.path}: {change}. {WAYS_OUT}")
    with naming_change(change, "Use that version, or train anew in another runs_folder"):
        yield
    if record.segments:
        record.mend(inputs.run.code, store.require_ownership)
    if finished:
        return
    segment = present_segment(code, tree["epoch"], tree["step"])
    _note_machine(record, segment.machine or {}, journal)
    if change:
        log.warning("%s: %s: from here on the run is not exact", entry.path, change)
        journal.append("code changed", epoch=entry.epoch, step=entry.step, reason=change)
    if change or record.latest.machine != segment.machine:
        record.add(segment).write(inputs.run.code, journal, store.require_ownership)


def _note_machine(record: CodeRecord, machine: dict[str, str], journal: Journal) -> None:
    previous = record.latest.machine
    if previous is not None:
        for name in differing(previous, machine):
            _note_change(name, previous.get(name), machine.get(name), journal)


def _start(inputs: TrainingInputs, state: TrainState, store: CheckpointStore, journal: Journal) -> None:
    segment = present_segment(present_code(inputs.config.chosen.model.factory))
    CodeRecord(segments=(segment,)).write(inputs.run.code, journal, store.require_ownership)
    parent, origin, epochs = inputs.run.parent, "scratch", inputs.config.chosen.epochs
    if parent is not None:
        warm_start(inputs, state)
        origin = f"the weights of {inputs.config.start.warm_from}"
    else:
        learn_inputs(state.model, inputs.train)
    journal.append("started", epochs=epochs, warm_from=parent)
    log.info("training from %s: %d epochs of %d steps", origin, epochs, inputs.steps)


def _require_monitor(inputs: TrainingInputs) -> None:
    monitor = inputs.config.chosen.monitor
    if monitor is not None and monitor not in inputs.metrics:
        raise ConfigError(f"training.monitor: found {monitor!r}, expected one of {', '.join(sorted(inputs.metrics))}")


def _require_epochs(inputs: TrainingInputs, state: TrainState) -> None:
    epochs, done = inputs.config.chosen.epochs, state.step / inputs.steps
    if done > epochs:
        raise ConfigError(
            f"training.epochs: found {epochs}, but {done:g} are done in {inputs.run.folder}; "
            f"expected at least as many. Raise it, or give the run another runs_folder"
        )


def _note_resume(inputs: TrainingInputs, state: TrainState, entry: Entry, journal: Journal) -> None:
    event = {"epoch": entry.epoch, "step": entry.step, "checkpoint": entry.path.name}
    if all(noted.get("checkpoint") != entry.path.name for noted in journal.events()):
        # Its process died between the save and the line about it.
        journal.append("checkpoint saved", **event)
    if not is_finished(state.history, inputs.config.chosen):
        journal.append("resumed", **event, epochs=inputs.config.chosen.epochs)
        log.info("resumed from %s (step %d of the run) of checkpoint %s", entry.describe(), state.step, entry.path.name)


def _note_numerics(previous: Tree, current: Tree, journal: Journal) -> None:
    for name, value in current.items():
        if previous[name] != value:
            _note_change(name, previous[name], value, journal)


def _note_change(name: str, previous: str | int | None, current: str | int | None, journal: Journal) -> None:
    log.warning("%s is %s, but was %s before: from here on the last bits may differ", name, current, previous)
    journal.append("numerics changed", name=name, before=previous, now=current)
