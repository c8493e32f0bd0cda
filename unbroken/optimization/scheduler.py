"""Learning rate schedulers by their torch names."""

import inspect
import math
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer, lr_scheduler
from torch.optim.lr_scheduler import LRScheduler

from unbroken.config import TrainingConfig
from unbroken.config.chosen import Chosen
from unbroken.config.training import SCHEDULER_LENGTHS, length_from_epochs, plateau_mode
from unbroken.errors import ConfigError
from unbroken.optimization.optimizer import build_optimizer, class_names, construct, refusals

PER_STEP = ("OneCycleLR", "CyclicLR")
"""Schedulers made to be stepped after each batch; the others are stepped after each epoch."""
REHEARSED_STEPS = 1000
ROUNDING = 1e-9
"""How far below 0 a learning rate that ends there may be rounded."""


def build_scheduler(
    config: TrainingConfig, chosen: Chosen, optimizer: Optimizer, steps_per_epoch: int
) -> LRScheduler | None:
    """Return the configured scheduler, its length filled in from the epochs if it was left out, or None."""
    if config.scheduler is None:
        return None
    kind = getattr(lr_scheduler, config.scheduler, None)
    if not (inspect.isclass(kind) and issubclass(kind, LRScheduler)) or kind is LRScheduler:
        names = ", ".join(class_names(lr_scheduler, LRScheduler))
        raise ConfigError(f"training.scheduler: found {config.scheduler!r}, expected one of {names}")
    options = dict(config.scheduler_options)
    if length_from_epochs(config):
        length = chosen.epochs * (steps_per_epoch if config.scheduler in PER_STEP else 1)
        options[SCHEDULER_LENGTHS[config.scheduler]] = length
    if mode := plateau_mode(config, chosen.monitor):
        options["mode"] = mode
    if config.scheduler == "OneCycleLR":
        options.setdefault("max_lr", config.learning_rate)
    _rehearse(config, chosen.epochs, kind, options, steps_per_epoch)
    return construct(kind, "scheduler", optimizer, **options)


def _rehearse(
    config: TrainingConfig, epochs: int, kind: type[LRScheduler], options: dict[str, Any], steps_per_epoch: int
) -> None:
    """Step a scheduler over a weight that nothing trains; raise ConfigError if it fails or leads below 0 or to no number."""
    optimizer = build_optimizer(config, nn.ParameterList([torch.zeros(1)]))
    scheduler = construct(kind, "scheduler", optimizer, **options)
    _require_length(epochs, scheduler, steps_per_epoch)
    subject = f"training.scheduler {kind.__name__} with {options}"
    steps = epochs * (steps_per_epoch if steps_each_batch(scheduler) else 1)
    for step in range(1, min(steps, REHEARSED_STEPS) + 1):
        optimizer.step()
        with refusals(subject):
            scheduler.step(0.0) if isinstance(scheduler, lr_scheduler.ReduceLROnPlateau) else scheduler.step()
        rate = float(optimizer.param_groups[0]["lr"])
        if not (math.isfinite(rate) and rate >= -ROUNDING):
            raise ConfigError(f"{subject}: found a learning rate of {rate} after step {step}, expected 0 or more")


def _require_length(epochs: int, scheduler: LRScheduler, steps_per_epoch: int) -> None:
    if isinstance(scheduler, lr_scheduler.OneCycleLR) and scheduler.total_steps < epochs * steps_per_epoch:
        raise ConfigError(
            f"training.scheduler_options: found a OneCycleLR of {scheduler.total_steps} steps, expected at least "
            f"{epochs * steps_per_epoch}, those of {epochs} epochs of {steps_per_epoch}. Leave its length out, "
            f"so that it follows training.epochs, raise it, or lower training.epochs"
        )


def steps_each_batch(scheduler: LRScheduler | None) -> bool:
    """Tell whether a scheduler is stepped after each batch."""
    return type(scheduler).__name__ in PER_STEP


def step_epoch(scheduler: LRScheduler | None, monitored: float) -> None:
    """Step a scheduler that is stepped after each epoch; one that follows the monitored metric waits for a finite one."""
    if isinstance(scheduler, lr_scheduler.ReduceLROnPlateau):
        if math.isfinite(monitored):
            scheduler.step(monitored)
    elif scheduler is not None and not steps_each_batch(scheduler):
        scheduler.step()
