"""The contract for every optimizer and scheduler of torch's, with each option that changes what a step does or remembers."""

import inspect
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim import Optimizer, lr_scheduler
from torch.optim.lr_scheduler import LRScheduler

from tests.contract import assert_resumes_identically, write_rows
from unbroken.config import CheckpointConfig, Config, DataConfig, ModelConfig, TrainingConfig
from unbroken.errors import ConfigError
from unbroken.optimization.optimizer import class_names

STOPS = (5, 7, 12)  # 6 steps an epoch: inside the first, at an end, inside the last
MOMENTUM: dict[str, Any] = {"optimizer": "SGD", "optimizer_options": {"momentum": 0.9}}

FLAGS: dict[str, dict[str, Any]] = {
    "amsgrad": {"amsgrad": True},
    "maximize": {"maximize": True},
    "foreach": {"foreach": True},
    "fused": {"fused": False},
    "capturable": {"capturable": True},
    "differentiable": {"differentiable": True},
    "decoupled_weight_decay": {"decoupled_weight_decay": True, "weight_decay": 0.1},
    "weight_decay": {"weight_decay": 0.1},
    "nesterov": {"nesterov": True, "momentum": 0.9},
    "dampening": {"dampening": 0.1, "momentum": 0.9},
    "centered": {"centered": True, "momentum": 0.9},
    "lr_decay": {"lr_decay": 0.1, "initial_accumulator_value": 0.1},
    "t0": {"t0": 3.0},
}
"""What is set of an optimizer that has an option of such a name."""

REFUSED = {"LambdaLR", "MultiplicativeLR", "SequentialLR", "ChainedScheduler"}
"""Schedulers made of functions or of other schedulers."""

SCHEDULES: dict[str, list[dict[str, Any]]] = {
    "StepLR": [{"step_size": 2}],
    "MultiStepLR": [{"milestones": [2, 2]}],
    "ConstantLR": [{"total_iters": 3}],
    "LinearLR": [{"total_iters": 3}],
    "ExponentialLR": [{"gamma": 0.9}],
    "PolynomialLR": [{"total_iters": 3, "power": 2.0}],
    "CosineAnnealingLR": [{}, {"T_max": 3, "eta_min": 1e-5}],
    "CosineAnnealingWarmRestarts": [{"T_0": 1, "T_mult": 2}],
    "CyclicLR": [
        {"base_lr": 1e-4, "max_lr": 1e-2, "mode": mode, "step_size_up": 5}
        for mode in ("triangular", "triangular2", "exp_range")
    ],
    "OneCycleLR": [{}, {"three_phase": True}, {"cycle_momentum": False}],
    "ReduceLROnPlateau": [{"patience": 0}, {"patience": 0, "cooldown": 1, "threshold_mode": "abs", "min_lr": [1e-4]}],
}


def optimizers() -> list[tuple[str, dict[str, Any]]]:
    names = [name for name in class_names(torch.optim, Optimizer) if name != "Muon"]  # which takes matrices alone
    return [
        (name, options)
        for name in names
        for options in (
            {},
            *(FLAGS[flag] for flag in FLAGS if flag in inspect.signature(getattr(torch.optim, name)).parameters),
        )
    ]


def configured(folder: Path, **training: Any) -> Config:
    return Config(
        data=DataConfig(source=write_rows(folder / "rows.parquet", "binary")),
        model=ModelConfig(options={"hidden": [8], "dropout": 0.2}),
        training=replace(TrainingConfig(epochs=4, batch_size=32), **training),
        checkpoint=CheckpointConfig(every_steps=4, every_seconds=None),
        runs_folder=str(folder / "runs"),
    )


def label(value: object) -> str:
    return str(value)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "options"), optimizers(), ids=label)
def test_a_training_by_any_optimizer_resumes_identically_or_is_refused_by_name(
    name: str, options: dict[str, Any], tmp_path: Path
):
    config = configured(tmp_path, optimizer=name, optimizer_options=options)
    unusable = "differentiable" in options or ("capturable" in options and name not in ("Adam", "AdamW"))

    if unusable:
        with pytest.raises(ConfigError, match=r"training\.optimizer_options\.(differentiable|capturable): found True"):
            assert_resumes_identically(config, STOPS, tmp_path)
    else:
        assert_resumes_identically(config, STOPS, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", [{}, MOMENTUM], ids=["Adam", "SGD with momentum"])
@pytest.mark.parametrize(
    ("name", "options"), [(name, options) for name in SCHEDULES for options in SCHEDULES[name]], ids=label
)
def test_a_training_by_any_scheduler_resumes_identically(
    name: str, options: dict[str, Any], optimizer: dict[str, Any], tmp_path: Path
):
    config = configured(tmp_path, scheduler=name, scheduler_options=options, **optimizer)

    assert_resumes_identically(config, STOPS, tmp_path)


def test_every_scheduler_of_torch_is_tried_or_refused():
    assert {*SCHEDULES, *REFUSED} == set(class_names(lr_scheduler, LRScheduler))
