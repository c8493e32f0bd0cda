"""Optimizers and schedulers by name."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR

from unbroken.config import TrainingConfig
from unbroken.errors import ConfigError
from unbroken.optimization.optimizer import build_optimizer
from unbroken.optimization.scheduler import build_scheduler, step_epoch, steps_each_batch


def optimizer_of(**settings: Any) -> torch.optim.Optimizer:
    return build_optimizer(TrainingConfig(**settings), nn.Linear(2, 2))


@pytest.mark.parametrize(
    "name",
    [
        "ASGD",
        "Adadelta",
        "Adafactor",
        "Adagrad",
        "Adam",
        "AdamW",
        "Adamax",
        "NAdam",
        "RAdam",
        "RMSprop",
        "Rprop",
        "SGD",
    ],
)
def test_torchs_optimizers_are_found_by_name_and_get_the_learning_rate(name: str):
    optimizer = optimizer_of(optimizer=name, learning_rate=0.25)

    assert type(optimizer).__name__ == name
    assert optimizer.param_groups[0]["lr"] == 0.25


def test_options_reach_the_optimizer():
    assert optimizer_of(optimizer="SGD", optimizer_options={"momentum": 0.9}).param_groups[0]["momentum"] == 0.9


def test_the_fused_kernel_is_used_unless_the_user_chooses_otherwise():
    assert optimizer_of().param_groups[0]["fused"] is True
    assert optimizer_of(optimizer_options={"fused": False}).param_groups[0]["fused"] is False


@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": "Adamm"},
        {"optimizer": "LBFGS"},
        {"optimizer": "Optimizer"},
        {"optimizer_options": {"momentun": 0.9}},
        {"optimizer_options": {"betas": [2.0, 0.9]}},
    ],
)
def test_an_optimizer_that_does_not_fit_is_refused_by_name(settings: dict[str, Any]):
    with pytest.raises(ConfigError, match=r"training\.optimizer"):
        optimizer_of(**settings)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("StepL", {}),
        ("StepLR", {}),
        ("StepLR", {"step_size": 2, "gamme": 1}),
        ("SequentialLR", {}),
        ("LRScheduler", {}),
    ],
)
def test_a_scheduler_that_does_not_fit_is_refused_by_name(name: str, options: dict[str, Any]):
    config = TrainingConfig(scheduler=name, scheduler_options=options)

    with pytest.raises(ConfigError, match=r"training\.scheduler"):
        build_scheduler(config, build_optimizer(config, nn.Linear(2, 2)), 10)


def test_one_cycle_spans_all_steps_and_is_stepped_each_batch():
    config = TrainingConfig(scheduler="OneCycleLR", epochs=3, learning_rate=0.5)
    scheduler = build_scheduler(config, build_optimizer(config, nn.Linear(2, 2)), 10)

    assert isinstance(scheduler, OneCycleLR)
    assert steps_each_batch(scheduler)
    assert scheduler.total_steps == 30
    assert scheduler.optimizer.param_groups[0]["max_lr"] == 0.5


def test_a_plateau_scheduler_is_driven_by_the_monitored_metric():
    config = TrainingConfig(scheduler="ReduceLROnPlateau", scheduler_options={"patience": 0}, learning_rate=1.0)
    optimizer = build_optimizer(config, nn.Linear(2, 2))
    scheduler = build_scheduler(config, optimizer, 10)

    for value in (1.0, 2.0):
        step_epoch(scheduler, value)

    assert optimizer.param_groups[0]["lr"] == 0.1
