"""Stage 4 by as many processes as the settings ask for."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from unbroken.checkpoints.numerics import collect_numerics
from unbroken.code.machine import describe_machine
from unbroken.code.record import present_code
from unbroken.config import Config
from unbroken.config.config import identity
from unbroken.data.dataset import SplitDatasets
from unbroken.engines.messages import Job
from unbroken.errors import ConfigError
from unbroken.parallel.agreement import require_same_settings
from unbroken.parallel.group import Group
from unbroken.run import Run
from unbroken.stages.results import Checkpoint
from unbroken.stages.train import train as train_stage
from unbroken.storage.artifact import Artifact
from unbroken.training.hooks import TrainHook
from unbroken.training.last_step import LastStep
from unbroken.training.progress import Report

DYING = 120.0
"""Seconds that a rank of Ray may still hold a run after it counts as gone: a raylet without its head lives for 60, a worker
without its raylet for 30."""


def train(
    config: Config,
    splits: SplitDatasets,
    encoder: Artifact,
    run: Run,
    report: Report = lambda _: None,
    hooks: Sequence[TrainHook] = (),
) -> Checkpoint:
    """Train in this process, or in `compute.workers` others; arguments, results and errors are those of the stage.

    Raises:
        LostRankError: Ranks died more often than `compute.restarts`, or the engine did; an OSError.
        ConfigError: With other processes there are hooks, another device than the processor, or no such engine.
    """
    engine, workers = config.compute.engine, config.compute.workers
    if engine == "local" and workers == 1:
        return train_stage(config, splits, encoder, run, report, hooks)
    require_elsewhere(hooks, f"compute.engine {engine} and compute.workers {workers}")
    require_cpu(config, workers)
    job = Job(config=config, splits=splits, encoder=encoder, run=run, paths=tuple(sys.path))
    if engine == "ray":
        from unbroken.engines import ray  # noqa: PLC0415 (an extra)

        return ray.train(replace(job, saves_alone=False, wait=DYING), report)
    from unbroken.engines import local  # noqa: PLC0415 (seldom needed)

    return local.train(job, report)


def require_elsewhere(hooks: Sequence[TrainHook], settings: str) -> None:
    """Raise ConfigError where there are hooks, which cannot be sent to other processes."""
    # A hook that watches for a step that kills its process again and again has none to watch here: restarts are limited.
    if others := [type(hook).__name__ for hook in hooks if not isinstance(hook, LastStep)]:
        raise ConfigError(
            f"compute: found {settings} with the hooks {', '.join(others)}, expected compute.engine local and compute.workers 1: "
            f"hooks live in this process. Start the ranks by torchrun, and give each its hooks by "
            f"unbroken.train(config, hooks=..., group=...)"
        )


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
