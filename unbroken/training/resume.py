"""How a resume decides: the run's newest whole checkpoint, else a warm start, else from scratch."""

from unbroken.checkpoints.history import is_finished
from unbroken.checkpoints.store import CheckpointStore
from unbroken.errors import ConfigError
from unbroken.models.metrics import METRICS_OF
from unbroken.storage.journal import Journal
from unbroken.training.inputs import TrainingInputs
from unbroken.training.loop import log
from unbroken.training.state import TrainState
from unbroken.training.warm_start import warm_start


def resume_or_start(setup: TrainingInputs, store: CheckpointStore, journal: Journal) -> TrainState:
    """Return the state of the newest whole checkpoint of a run, or a fresh one, and say which."""
    state = setup.fresh_state()
    _require_monitored(setup)
    found = store.newest()
    if found is None:
        _begin(setup, state, journal)
        return state
    entry, tree = found
    setup.restore(state, tree, entry.path)
    _require_no_more_epochs(setup, state)
    if all(event.get("checkpoint") != entry.path.name for event in journal.events()):
        # Its process died between the save and the line about it.
        journal.append("checkpoint saved", epoch=entry.epoch, step=entry.step, checkpoint=entry.path.name)
    if not is_finished(state.history, setup.config.training):
        journal.append("resumed", epoch=entry.epoch, step=entry.step, checkpoint=entry.path.name)
        log.info("resumed from %s (step %d of the run) of checkpoint %s", entry.describe(), state.step, entry.path.name)
    for name, before in tree["numerics"].items():
        if (now := setup.about()["numerics"][name]) != before:
            log.warning("%s is %s, but was %s before: from here on the last bits may differ", name, now, before)
            journal.append("numerics changed", name=name, before=before, now=now)
    return state


def _begin(setup: TrainingInputs, state: TrainState, journal: Journal) -> None:
    parent, origin = setup.run.parent, "scratch"
    if parent is not None:
        warm_start(setup, state)
        origin = f"the weights of {setup.config.start.warm_from}"
    journal.append("started", epochs=setup.config.training.epochs, warm_from=parent)
    log.info("training from %s: %d epochs of %d steps", origin, setup.config.training.epochs, setup.steps)


def _require_monitored(setup: TrainingInputs) -> None:
    monitor = setup.config.training.monitor
    known = {f"{part}_{name}" for part in setup.held_out for name in METRICS_OF[setup.features.task]}
    if monitor not in known:
        raise ConfigError(f"training.monitor: found {monitor!r}, expected one of {', '.join(sorted(known))}")


def _require_no_more_epochs(setup: TrainingInputs, state: TrainState) -> None:
    done = state.step / setup.steps
    if done > setup.config.training.epochs:
        raise ConfigError(
            f"training.epochs: found {setup.config.training.epochs}, but {done:g} are done in {setup.run.folder}; "
            f"expected at least as many. Raise it, or give the run another runs_folder"
        )
