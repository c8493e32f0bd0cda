"""Optimizers and schedulers by name."""

import math
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR

from unbroken.config import Config, TrainingConfig
from unbroken.config.config import identity
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
        {"optimizer_options": {"differentiable": True}},
        {"optimizer": "NAdam", "optimizer_options": {"capturable": True}},
        {"optimizer_options": {"capturable": True, "fused": False}},
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
        build_scheduler(config, Config(training=config).chosen, build_optimizer(config, nn.Linear(2, 2)), 10)


def test_one_cycle_spans_all_steps_and_is_stepped_each_batch():
    config = TrainingConfig(scheduler="OneCycleLR", epochs=3, learning_rate=0.5)
    scheduler = build_scheduler(config, Config(training=config).chosen, build_optimizer(config, nn.Linear(2, 2)), 10)

    assert isinstance(scheduler, OneCycleLR)
    assert steps_each_batch(scheduler)
    assert scheduler.total_steps == 30
    assert scheduler.optimizer.param_groups[0]["max_lr"] == 0.5


@pytest.mark.parametrize(
    ("monitor", "values"),
    [
        ("validation_auroc", (0.5, 0.6, 0.7)),
        ("validation_auroc", (0.5, math.nan, 0.7)),
        ("validation_r2", (0.1, 0.5, 0.9)),
        ("validation_loss", (3.0, 2.0, 1.0)),
        ("validation_rmse", (3.0, math.nan, math.inf, 1.0)),
    ],
)
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
def test_a_plateau_scheduler_keeps_the_rate_while_the_metric_gets_better(
    monitor: str, values: tuple[float, ...], threshold_mode: str
):
    options = {"patience": 0, "threshold_mode": threshold_mode}
    config = TrainingConfig(
        scheduler="ReduceLROnPlateau", scheduler_options=options, monitor=monitor, learning_rate=1.0
    )
    optimizer = build_optimizer(config, nn.Linear(2, 2))
    scheduler = build_scheduler(config, Config(training=config).chosen, optimizer, 10)

    for value in values:
        step_epoch(scheduler, value)
    assert optimizer.param_groups[0]["lr"] == 1.0

    step_epoch(scheduler, values[0])
    assert optimizer.param_groups[0]["lr"] == 0.1


@pytest.mark.parametrize(
    ("monitor", "mode"), [("validation_auroc", "min"), ("validation_loss", "max"), ("validation_loss", "larger")]
)
def test_a_plateau_mode_against_the_metric_is_refused(monitor: str, mode: str):
    with pytest.raises(ConfigError, match=rf"training\.scheduler_options: .*expected mode .*{monitor} is better when"):
        TrainingConfig(scheduler="ReduceLROnPlateau", scheduler_options={"mode": mode}, monitor=monitor)


def test_the_plateaus_mode_names_the_run_only_where_it_is_not_torchs_default():
    def named(monitor: str, **options: Any) -> dict[str, Any]:
        training = TrainingConfig(scheduler="ReduceLROnPlateau", scheduler_options=options, monitor=monitor)
        return identity(Config(training=training))["training"]["scheduler_options"]

    assert named("validation_loss", patience=3) == {"patience": 3}
    assert named("validation_loss", mode="min") == {"mode": "min"}
    assert (
        named("validation_auroc", patience=3)
        == named("validation_auroc", patience=3, mode="max")
        == {"mode": "max", "patience": 3}
    )


def test_a_plateau_scheduler_is_driven_by_the_monitored_metric():
    config = TrainingConfig(scheduler="ReduceLROnPlateau", scheduler_options={"patience": 0}, learning_rate=1.0)
    optimizer = build_optimizer(config, nn.Linear(2, 2))
    scheduler = build_scheduler(config, Config(training=config).chosen, optimizer, 10)

    for value in (1.0, 2.0):
        step_epoch(scheduler, value)

    assert optimizer.param_groups[0]["lr"] == 0.1
