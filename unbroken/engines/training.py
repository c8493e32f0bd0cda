"""Stage 4 by as many processes as the settings ask for."""

from collections.abc import Sequence
from typing import Any

from unbroken.checkpoints.numerics import collect_numerics
from unbroken.code.machine import describe_machine
from unbroken.code.record import present_code
from unbroken.config import Config
from unbroken.config.config import identity
from unbroken.data.dataset import SplitDatasets
from unbroken.errors import ConfigError
from unbroken.parallel.agreement import require_same_settings
from unbroken.parallel.group import Group
from unbroken.run import Run
from unbroken.stages.results import Checkpoint
from unbroken.stages.train import train as train_stage
from unbroken.storage.artifact import Artifact
from unbroken.training.hooks import TrainHook
from unbroken.training.progress import Report


def train(
    config: Config,
    splits: SplitDatasets,
    encoder: Artifact,
    run: Run,
    report: Report = lambda _: None,
    hooks: Sequence[TrainHook] = (),
) -> Checkpoint:
    """Train in this process, or in `compute.workers` others; arguments, results and errors are those of the stage."""
    if config.compute.workers == 1:
        return train_stage(config, splits, encoder, run, report, hooks)
    from unbroken.engines import local  # noqa: PLC0415 (seldom needed)

    return local.train(config, splits, encoder, run, report, hooks)


def require_alike(group: Group, config: Config) -> None:
    """Raise ConfigError on all ranks unless they train the same, with the same code and numerics, and are not too many."""
    training = config.training
    require_cpu(config, group.size)
    if group.size > training.micro_batches:
        raise ConfigError(
            f"training.micro_batches: found {training.micro_batches}, expected at least {group.size}, the processes that train: "
            f"each computes at least one. Set it, e.g. to 8, or start fewer"
        )
    code = present_code(config.chosen.model.factory)
    settings: dict[str, Any] = {
        "settings": identity(config),
        "processor": describe_machine(),
        "code": code.digest,
        "model's own modules": code.own,
        **collect_numerics(training.device, training.threads),
    }
    require_same_settings(group, settings)


def require_cpu(config: Config, processes: int) -> None:
    """Raise ConfigError where several processes are to train on anything else than processors."""
    if config.training.device != "cpu":
        raise ConfigError(
            f"training.device: found {config.training.device!r} for {processes} processes, expected 'cpu': only there they are "
            f"known to give the same bits. Train on one device in one process"
        )
