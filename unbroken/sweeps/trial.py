"""One trial: an ordinary run that trains, is pruned or fails, and publishes nothing; the test rows stay unseen."""

import math
import shutil
from pathlib import Path

from unbroken.checkpoints.format import read_checkpoint
from unbroken.checkpoints.history import History, best_epoch, is_finished
from unbroken.config import Config
from unbroken.engines.training import train
from unbroken.errors import ConfigError, TrainingError
from unbroken.run import Run
from unbroken.storage import atomic, own_files
from unbroken.sweeps.journal import Outcome, Proposal, Record, State
from unbroken.sweeps.shared_data import SharedData
from unbroken.sweeps.study import Pruning, Study
from unbroken.sweeps.sweep import Sweep
from unbroken.training.hooks import TrainHook
from unbroken.training.progress import Report
from unbroken.training.state import TrainState

LOCKS = "locks"


class PrunedError(Exception):
    """The trial is not worth further epochs; its checkpoint is saved."""


class PruningHook(TrainHook):
    """Ends a training where its pruner says so: after the epoch is saved, or at once where that was said before a kill."""

    reads_only = True

    def __init__(self, pruning: Pruning, config: Config) -> None:
        self.pruning, self.config, self.history, self.ended = pruning, config, History(), False

    def on_start(self, state: TrainState) -> None:
        """Go through the epochs that are done; raise PrunedError if one of them was the last."""
        for entry in state.history:
            self._take(entry)
            if self.ended:
                raise PrunedError

    def on_epoch(self, state: TrainState, entry: dict[str, float]) -> None:  # noqa: ARG002 (a hook's signature)
        """Ask the pruner."""
        self._take(entry)

    def on_save(self, state: TrainState, seconds: float) -> None:  # noqa: ARG002 (a hook's signature)
        """Raise PrunedError if the epoch that is being saved was the last."""
        if self.ended:
            raise PrunedError

    def _take(self, entry: dict[str, float]) -> None:
        self.history.append(entry)
        value = entry[str(self.config.chosen.monitor)]
        ends = math.isfinite(value) and self.pruning.ends(len(self.history), value)
        self.ended = ends and not is_finished(self.history, self.config.chosen)


def run_trial(sweep: Sweep, study: Study, data: SharedData, trial: int, record: Record, report: Report) -> Outcome:
    """Train a trial from wherever its run stands.

    Args:
        sweep: Whose trial it is.
        study: Says when to prune.
        data: The prepared rows.
        trial: Its number.
        record: What the journal says: its proposal, those before it, and the outcomes up to trial - parallel.
        report: Called with the progress of the training.

    Raises:
        UnbrokenError: What is wrong with more than the trial's settings.
        OSError: A file cannot be read or written.
    """
    proposal = record.proposals[trial]
    try:
        config = sweep.trial_config(proposal.settings)
    except ConfigError as error:
        return Outcome(trial=trial, state="failed", run="", values=(), because=str(error))
    run, pruning = sweep.run_of(config), study.pruning(proposal, record)
    with own_files.lock(
        atomic.make_folder(sweep.path / LOCKS) / run.key
    ):  # the process of a killed sweep may still end it
        outcome = _train(sweep, config, run, PruningHook(pruning, config), data, proposal, report)
        shutil.rmtree(run.data, ignore_errors=True)  # further names of shared files, and what can be made of them again
        return outcome


def _train(
    sweep: Sweep, config: Config, run: Run, hook: PruningHook, data: SharedData, proposal: Proposal, report: Report
) -> Outcome:
    failure = None
    try:
        prepared = data.share(config, run)
        last = train(config, prepared.splits, prepared.preprocessed.encoder, run, report, [hook])
    except PrunedError:
        return _outcome(proposal, run, "pruned", hook.history, hook)
    except TrainingError:
        failure = f"the loss became infinite or no number in epoch {len(hook.history) + 1}"
    except ConfigError as error:
        failure = str(error).replace(str(sweep.path), "")
    if failure is not None:
        return _outcome(proposal, run, "failed", hook.history, hook, failure)
    return _outcome(proposal, run, "complete", read_checkpoint(Path(last.path), last.digest)["history"], hook)


def _outcome(
    proposal: Proposal, run: Run, state: State, history: History, hook: PruningHook, because: str | None = None
) -> Outcome:
    monitor = str(hook.config.chosen.monitor)
    values = tuple(entry[monitor] if math.isfinite(entry[monitor]) else None for entry in history)
    best = best_epoch(history, monitor)
    if state == "complete" and best is None:
        state, because = "failed", f"{monitor} is a finite number in none of its epochs"
    return Outcome(
        trial=proposal.trial,
        state=state,
        run=run.key,
        values=values,
        epoch=best,
        value=values[best - 1] if best else None,
        because=because,
        attributes=hook.pruning.attributes,
    )
