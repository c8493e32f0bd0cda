"""Learning rate schedulers by their torch names."""

import inspect

from torch.optim import Optimizer, lr_scheduler
from torch.optim.lr_scheduler import LRScheduler

from unbroken.config import TrainingConfig
from unbroken.config.training import SCHEDULER_LENGTHS, length_from_epochs
from unbroken.errors import ConfigError
from unbroken.optimization.optimizer import class_names, construct

PER_STEP = ("OneCycleLR", "CyclicLR")
"""Schedulers made to be stepped after each batch; the others are stepped after each epoch."""


def build_scheduler(config: TrainingConfig, optimizer: Optimizer, steps_per_epoch: int) -> LRScheduler | None:
    """Return the configured scheduler, its length filled in from the epochs if it was left out, or None."""
    if config.scheduler is None:
        return None
    kind = getattr(lr_scheduler, config.scheduler, None)
    if not (inspect.isclass(kind) and issubclass(kind, LRScheduler)) or kind is LRScheduler:
        names = ", ".join(class_names(lr_scheduler, LRScheduler))
        raise ConfigError(f"training.scheduler: found {config.scheduler!r}, expected one of {names}")
    options = dict(config.scheduler_options)
    if length_from_epochs(config):
        length = config.epochs * (steps_per_epoch if config.scheduler in PER_STEP else 1)
        options[SCHEDULER_LENGTHS[config.scheduler]] = length
    if config.scheduler == "OneCycleLR":
        options.setdefault("max_lr", config.learning_rate)
    return construct(kind, "scheduler", optimizer, **options)


def steps_each_batch(scheduler: LRScheduler | None) -> bool:
    """Tell whether a scheduler is stepped after each batch."""
    return type(scheduler).__name__ in PER_STEP


def step_epoch(scheduler: LRScheduler | None, monitored: float) -> None:
    """Step a scheduler that is stepped after each epoch."""
    if isinstance(scheduler, lr_scheduler.ReduceLROnPlateau):
        scheduler.step(monitored)
    elif scheduler is not None and not steps_each_batch(scheduler):
        scheduler.step()
