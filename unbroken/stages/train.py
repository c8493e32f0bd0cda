"""Stage 4: train, one durable checkpoint an epoch, from wherever the run stands."""

from collections.abc import Sequence

from unbroken.checkpoints.background import BackgroundWriter
from unbroken.checkpoints.store import CheckpointStore
from unbroken.config import Config
from unbroken.data.dataset import SplitDatasets
from unbroken.parallel.group import Alone, Group
from unbroken.reproducibility.determinism import reproducible
from unbroken.run import Run, delete_on_bad_input, describe, keep_settings
from unbroken.stages.results import Checkpoint
from unbroken.storage import atomic
from unbroken.storage.artifact import Artifact
from unbroken.storage.journal import Journal
from unbroken.storage.lock import exclusive
from unbroken.storage.temporary import sweep
from unbroken.training.hooks import Hooks, TrainHook
from unbroken.training.inputs import TrainingInputs
from unbroken.training.loop import TrainLoop
from unbroken.training.moving_average import configured_hooks
from unbroken.training.progress import Report
from unbroken.training.resume import resume_or_start
from unbroken.training.sharing import receive_state, share_state
from unbroken.training.signals import StopRequest


def train(
    config: Config,
    splits: SplitDatasets,
    encoder: Artifact,
    run: Run,
    report: Report = lambda _: None,
    hooks: Sequence[TrainHook] = (),
    group: Group | None = None,
) -> Checkpoint:
    """Train to the last epoch and return its checkpoint.

    Resumes if the run has a checkpoint, else starts warm if `start.warm_from` is set, else from scratch.

    Args:
        config: The run's settings.
        splits: The preprocessed parts.
        encoder: The encoder that preprocessed them.
        run: Where checkpoints and the journal are.
        report: Called every few steps with how far the training is.
        hooks: What watches the training or adds to it, in this order. They do not count to the run's key.
        group: The processes that train it together, each of which calls this; rank 0 alone writes. This one alone if not given.

    Raises:
        TrainingError: The loss became NaN or infinite.
        ConfigError: More epochs are done than asked for, or a setting does not fit the data.
        CheckpointError: No checkpoint is whole, or the newest is of another run or of other hooks.
        LockedError: Another process trains the run, or another thread of this process any run, and is not to be waited for.
        StoppedError: A signal asked to stop; the checkpoint is saved.
        OSError: Saving failed twice, or another rank is gone.
    """
    group = group or Alone()
    added = Hooks([*configured_hooks(config.training), *hooks])
    if not group.first:
        return _assist(config, splits, encoder, run, added, group)
    journal = Journal(run.journal)
    wait = config.checkpoint.wait
    ownership, alone = exclusive(run.path, wait=wait), reproducible(config.training.threads, wait=wait)
    with delete_on_bad_input(run), ownership as require_ownership, alone:
        store = CheckpointStore(run.checkpoints, journal, config.checkpoint.keep_last, require_ownership)
        describe(run, config)
        sweep(run.path, below=True)
        atomic.recover(run.checkpoints)
        inputs = TrainingInputs.read(config, splits, encoder, run, sharing=group.neighbours)
        state, newest = resume_or_start(inputs, store, journal, added)
        keep_settings(run, config)
        share_state(group, state, added)
        with StopRequest() as stop, BackgroundWriter() as writer:
            loop = TrainLoop(inputs, state, store, journal, writer, stop, report, added, group)
            loop.run()
    entry = loop.saved or newest
    assert entry is not None  # a run has at least one epoch
    assert entry.sha256 is not None  # it was written or read just now
    checkpoint = Checkpoint(path=str(entry.path), digest=entry.sha256, epoch=state.epoch, step=state.step)
    return group.from_first(lambda: checkpoint, Checkpoint)


def _assist(
    config: Config, splits: SplitDatasets, encoder: Artifact, run: Run, hooks: Hooks, group: Group
) -> Checkpoint:
    """Train as another rank than the first: from its state on, step by step with it, and without writing anything."""
    with reproducible(config.training.threads, wait=config.checkpoint.wait):
        group.meet()  # files that rank 0 makes of the rows are there
        inputs = TrainingInputs.read(config, splits, encoder, run, scores=False, sharing=group.neighbours)
        state = inputs.fresh_state()
        receive_state(group, state, hooks)
        journal = Journal(run.journal)
        store = CheckpointStore(run.checkpoints, journal, config.checkpoint.keep_last)
        with BackgroundWriter() as writer, StopRequest() as stop:  # nothing is saved here
            TrainLoop(inputs, state, store, journal, writer, stop, hooks=hooks, group=group).run()
    return group.from_first(_never, Checkpoint)


def _never() -> Checkpoint:
    raise AssertionError("rank 0 alone computes what all are told")
