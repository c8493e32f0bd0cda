"""Every number that can be set: a bool, NaN, an infinity or a number beyond all bounds is refused by name."""

import dataclasses
import math
from typing import Any, get_args, get_type_hints

import pytest

from unbroken.config import (
    CheckpointConfig,
    ChecksConfig,
    Config,
    GateConfig,
    PredictConfig,
    PreprocessConfig,
    RetrainConfig,
    SplitConfig,
    StartConfig,
    TrainingConfig,
)
from unbroken.errors import ConfigError

GROUPS = (
    *(CheckpointConfig, ChecksConfig, Config, GateConfig, PredictConfig, PreprocessConfig, RetrainConfig, SplitConfig),
    *(StartConfig, TrainingConfig),
)
NUMBERS = [
    (group, field.name)
    for group in GROUPS
    for field in dataclasses.fields(group)
    if {int, float} & {get_type_hints(group)[field.name], *get_args(get_type_hints(group)[field.name])}
]
UNSIGNED = [(group, name) for group, name in NUMBERS if name != "seed"]


@pytest.mark.parametrize(
    "value", [True, math.nan, math.inf, -math.inf, "1", 10**400, -(10**400)], ids=lambda v: str(v)[:5]
)
@pytest.mark.parametrize(("group", "name"), UNSIGNED, ids=lambda part: getattr(part, "__name__", part))
def test_what_is_no_finite_number_is_refused_by_name(group: Any, name: str, value: Any):
    with pytest.raises(ConfigError, match=rf"{name}: found "):
        group(**{name: value})


@pytest.mark.parametrize(("group", "name"), UNSIGNED, ids=lambda part: getattr(part, "__name__", part))
def test_a_negative_number_is_refused_by_name(group: Any, name: str):
    with pytest.raises(ConfigError, match=rf"{name}: found -1"):
        group(**{name: -1})


def test_the_numbers_are_as_many_as_there_are():
    assert len(NUMBERS) >= 34


@pytest.mark.parametrize("url", ["s3://bucket/a", "file:///tmp/a", "foo://a"])
@pytest.mark.parametrize(
    ("group", "name"),
    [
        (Config, "runs_folder"),
        (RetrainConfig, "models_folder"),
        (StartConfig, "warm_from"),
        (PredictConfig, "model"),
        (PredictConfig, "target"),
    ],
    ids=lambda part: getattr(part, "__name__", part),
)
def test_a_url_where_a_path_on_this_machine_belongs_is_refused(group: Any, name: str, url: str):
    with pytest.raises(ConfigError, match=f"{name}: found '{url}.*expected a path on this machine, not a URL"):
        group(**{name: f"{url}.parquet"})
