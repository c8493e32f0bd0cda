"""How a resume decides: the run's newest whole checkpoint, else a warm start, else from scratch.

1. Checkpoints are tried from the newest on; a corrupt one is set aside, and the one before is tried. If none is whole, the
   training is refused: it never begins anew in silence.
2. The whole one must be of this run (settings, data, shapes, finite weights, hooks), and no further than the epochs asked
   for; else the training is refused.
3. Another torch, CPU kind, device or number of threads than before is warned of and noted in the journal.
4. With no checkpoint at all, the weights are those of `start.warm_from`, or drawn from the seed.
"""

import logging

from unbroken.checkpoints.history import is_finished
from unbroken.checkpoints.store import CORRUPT, CheckpointStore, Entry
from unbroken.checkpoints.tree import Tree
from unbroken.config.metrics import metrics_of
from unbroken.errors import CheckpointError, ConfigError, CorruptCheckpointError
from unbroken.models.factory import check_one_row
from unbroken.storage.journal import Journal
from unbroken.training.hooks import Hooks
from unbroken.training.inputs import TrainingInputs
from unbroken.training.state import TrainState
from unbroken.training.warm_start import warm_start

log = logging.getLogger(__name__)


def resume_or_start(
    inputs: TrainingInputs, store: CheckpointStore, journal: Journal, hooks: Hooks
) -> tuple[TrainState, Entry | None]:
    """Return the state to train from, and the checkpoint it came from if there is one.

    Raises:
        CheckpointError: There are checkpoints, but none is whole, or the newest whole one is of another run.
        ConfigError: More epochs are done than asked for, or `training.monitor` names a metric that there is not.
    """
    state = inputs.fresh_state()
    _require_monitor(inputs)
    batch_size = inputs.config.training.batch_size
    check_one_row(state.model, inputs.features, len(inputs.train), batch_size, inputs.device)
    newest = newest_whole(store)
    if newest is None:
        _start(inputs, state, journal)
        return state, None
    entry, tree = newest
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


def _start(inputs: TrainingInputs, state: TrainState, journal: Journal) -> None:
    parent, origin, epochs = inputs.run.parent, "scratch", inputs.config.training.epochs
    if parent is not None:
        warm_start(inputs, state)
        origin = f"the weights of {inputs.config.start.warm_from}"
    journal.append("started", epochs=epochs, warm_from=parent)
    log.info("training from %s: %d epochs of %d steps", origin, epochs, inputs.steps)


def _require_monitor(inputs: TrainingInputs) -> None:
    monitor = inputs.config.training.monitor
    names = {f"{part}_{metric.name}" for part in inputs.held_out for metric in metrics_of(inputs.features.task)}
    if monitor not in names:
        raise ConfigError(f"training.monitor: found {monitor!r}, expected one of {', '.join(sorted(names))}")


def _require_epochs(inputs: TrainingInputs, state: TrainState) -> None:
    epochs, done = inputs.config.training.epochs, state.step / inputs.steps
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
    if not is_finished(state.history, inputs.config.training):
        journal.append("resumed", **event)
        log.info("resumed from %s (step %d of the run) of checkpoint %s", entry.describe(), state.step, entry.path.name)


def _note_numerics(previous: Tree, current: Tree, journal: Journal) -> None:
    for name, value in previous.items():
        if current[name] != value:
            log.warning(
                "%s is %s, but was %s before: from here on the last bits may differ", name, current[name], value
            )
            journal.append("numerics changed", name=name, before=value, now=current[name])
