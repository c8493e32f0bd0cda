"""Stage 4: train, one durable checkpoint an epoch, from wherever the run stands."""

from unbroken.checkpoints.background import BackgroundWriter
from unbroken.checkpoints.store import CheckpointStore
from unbroken.config import Config
from unbroken.data.dataset import SplitDatasets
from unbroken.run import Run, delete_on_bad_input, describe
from unbroken.stages.results import Checkpoint
from unbroken.storage import atomic
from unbroken.storage.artifact import Artifact
from unbroken.storage.journal import Journal
from unbroken.storage.lock import exclusive
from unbroken.training.determinism import reproducible
from unbroken.training.inputs import TrainingInputs
from unbroken.training.loop import TrainLoop
from unbroken.training.progress import Report
from unbroken.training.resume import resume_or_start
from unbroken.training.signals import StopRequest


def train(
    config: Config, splits: SplitDatasets, encoder: Artifact, run: Run, report: Report = lambda _: None
) -> Checkpoint:
    """Train to the last epoch and return its checkpoint.

    Resumes if the run has a checkpoint, else starts warm if `start.warm_from` is set, else from scratch.
    Raise TrainingError if the loss becomes NaN or infinite, ConfigError if more epochs are done than asked for,
    CheckpointError if no checkpoint is whole, LockedError if another process trains the run and is not to be waited for,
    StoppedError after a signal, OSError if saving fails.
    """
    journal = Journal(run.journal)
    alone_here = exclusive(run.path, wait=config.checkpoint.wait)
    with delete_on_bad_input(run), alone_here as alone, reproducible(config.training.threads):
        store = CheckpointStore(run.checkpoints, journal, config.checkpoint.keep_last, alone)
        describe(run, config)
        atomic.recover(run.checkpoints)
        setup = TrainingInputs.read(config, splits, encoder, run)
        state = resume_or_start(setup, store, journal)
        with StopRequest() as stop, BackgroundWriter() as saver:
            TrainLoop(setup, state, store, journal, saver, stop, report).run()
    entry = store.epoch(state.epoch)
    return Checkpoint(path=str(entry.path), digest=atomic.digest(entry.path), epoch=state.epoch, step=state.step)
