"""The form: limits and choices stand in the schema by which the server refuses what the settings would refuse."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter
from torch.optim import Optimizer, lr_scheduler
from torch.optim.lr_scheduler import LRScheduler

from tests.unit.config.test_numbers import NUMBERS
from unbroken.config import Config, DataConfig, PredictConfig, RetrainConfig
from unbroken.config.config import identity
from unbroken.config.training import DEVICES, OPTIMIZERS, SCHEDULERS
from unbroken.errors import ConfigError
from unbroken.optimization.optimizer import class_names
from unbroken.orchestration.form import explain

UNLIMITED = {"seed"}
STEP = 1e-6


def schema_of(group: Any) -> dict[str, Any]:
    explain(RetrainConfig)
    explain(PredictConfig)
    return TypeAdapter(group).json_schema()


def numbers(group: Any, name: str) -> Iterator[dict[str, Any]]:
    field = schema_of(group)["properties"][name]
    yield from (part for part in field.get("anyOf", [field]) if part.get("type") in ("integer", "number"))


def beyond(part: dict[str, Any]) -> Iterator[float]:
    """Yield the numbers next to the ends of a schema that it refuses."""
    step = 1 if part["type"] == "integer" else STEP
    yield from (part[end] for end in ("exclusiveMinimum", "exclusiveMaximum") if end in part)
    yield from (part["minimum"] - step for _ in range("minimum" in part))
    yield from (part["maximum"] + step for _ in range("maximum" in part))


@pytest.mark.parametrize(
    ("group", "name"),
    [(group, name) for group, name in NUMBERS if name not in UNLIMITED],
    ids=lambda part: getattr(part, "__name__", part),
)
def test_every_number_has_limits_in_the_form_which_are_those_of_the_settings(group: Any, name: str):
    (part,) = numbers(group, name)

    refused = list(beyond(part))

    assert min(refused) >= -1
    for value in refused:
        with pytest.raises(ConfigError, match=rf"{name}: found "):
            group(**{name: value})


def test_data_settings_have_limits_too():
    assert [next(numbers(DataConfig, name))["minimum"] for name in ("max_columns", "max_expansion")] == [1, 1]


def test_the_choices_are_those_that_torch_has():
    properties = schema_of(RetrainConfig)["$defs"]["TrainingConfig"]["properties"]

    assert properties["optimizer"]["enum"] == list(OPTIMIZERS)
    assert sorted(OPTIMIZERS) == class_names(torch.optim, Optimizer)
    assert [part.get("enum") for part in properties["scheduler"]["anyOf"]] == [list(SCHEDULERS), None]
    assert sorted(SCHEDULERS) == class_names(lr_scheduler, LRScheduler)
    assert properties["device"]["enum"] == list(DEVICES)
    assert "validation_auroc" in properties["monitor"]["enum"]


def test_limits_and_choices_are_no_part_of_a_runs_identity():
    before = identity(Config())

    explain(Config)

    assert identity(Config()) == before
    assert all("limits" not in str(value) for value in dataclasses.asdict(Config()).values())
