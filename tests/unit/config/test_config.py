"""Settings: what may be set, what a run's identity is made of."""

import dataclasses
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from unbroken.config import (
    CheckpointConfig,
    Config,
    DataConfig,
    ModelConfig,
    NotifyConfig,
    PredictConfig,
    PreprocessConfig,
    RetrainConfig,
    SplitConfig,
    TrackingConfig,
    TrainingConfig,
)
from unbroken.config.config import identity
from unbroken.config.metrics import smaller_is_better
from unbroken.config.training import length_from_epochs
from unbroken.errors import ConfigError
from unbroken.orchestration.form import explain
from unbroken.retraining.new_data import find_new_data
from unbroken.run import open_run
from unbroken.serving.standing import rows_to_score

CONFIG = TypeAdapter(Config)


def test_settings_go_to_json_and_back():
    config = Config(
        data=DataConfig(source="a.parquet", include=("x", "y"), label="z"),
        model=ModelConfig(options={"hidden": [8, 4]}),
        training=TrainingConfig(class_weights=(1.0, 2.5), scheduler="StepLR", scheduler_options={"step_size": 2}),
    )

    assert CONFIG.validate_json(CONFIG.dump_json(config)) == config


def test_settings_can_be_read_from_toml():
    text = 'runs_folder = "elsewhere"\n[training]\nepochs = 9\nclass_weights = [1.0, 2.0]\n[data]\nexclude = ["x"]'

    config = CONFIG.validate_python(tomllib.loads(text))

    assert config.training == TrainingConfig(epochs=9, class_weights=(1.0, 2.0))
    assert config.data.exclude == ("x",)


def test_an_unknown_setting_is_refused_with_its_path():
    with pytest.raises(ValidationError, match=r"training\.epoch\n"):
        CONFIG.validate_python({"training": {"epoch": 9}})


def test_a_bad_setting_is_refused_with_its_name_and_value():
    with pytest.raises(ValidationError, match=r"training\.epochs: found 0, expected at least 1"):
        CONFIG.validate_python({"training": {"epochs": 0}})


def test_settings_cannot_be_changed_afterwards():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().training.epochs = 3  # ty: ignore[invalid-assignment]


def test_every_setting_is_documented():
    groups: list[Any] = [
        Config,
        *(field.default_factory for field in dataclasses.fields(Config) if field.name not in ("runs_folder", "name")),
    ]
    assert len(groups) == 12
    explain(Config)
    for group in groups:
        properties = TypeAdapter(group).json_schema()["properties"]
        assert [name for name, said in properties.items() if not {"description", "$ref"} & said.keys()] == []


SAME: list[Any] = [
    {"data": DataConfig(source="moved/elsewhere")},
    {"training": TrainingConfig(epochs=50)},
    {"checkpoint": CheckpointConfig(every_steps=7, keep_last=9, publish="best", wait=False)},
    {"tracking": TrackingConfig(uri="http://127.0.0.1:5000", experiment="other")},
    {"notify": NotifyConfig(block="slack-webhook/ops")},
    {"runs_folder": "elsewhere"},
]

OTHER: list[Any] = [
    {"data": DataConfig(label="x")},
    {"data": DataConfig(exclude=("x",))},
    {"data": DataConfig(categories=("x",))},
    {"preprocess": PreprocessConfig(clip_quantile=0.1)},
    {"split": SplitConfig(seed=1)},
    {"split": SplitConfig(test_fraction=0.3)},
    {"model": ModelConfig(options={"hidden": [3]})},
    {"training": TrainingConfig(learning_rate=1.0)},
    {"training": TrainingConfig(batch_size=7)},
    {"training": TrainingConfig(seed=1)},
    {"training": TrainingConfig(optimizer="SGD")},
    {"training": TrainingConfig(gradient_clip=1.0)},
    {"training": TrainingConfig(class_weights="balanced")},
]


@pytest.mark.parametrize("settings", SAME)
def test_places_saving_and_the_number_of_epochs_do_not_make_another_run(settings: dict[str, Any]):
    assert identity(Config(**settings)) == identity(Config())


@pytest.mark.parametrize("settings", OTHER)
def test_what_decides_the_weights_makes_another_run(settings: dict[str, Any]):
    assert identity(Config(**settings)) != identity(Config())


def test_the_number_of_epochs_counts_where_the_learning_rate_follows_from_it():
    five, ten = (Config(training=TrainingConfig(scheduler="OneCycleLR", epochs=epochs)) for epochs in (5, 10))
    fixed = TrainingConfig(scheduler="OneCycleLR", scheduler_options={"total_steps": 100})

    assert length_from_epochs(five.training)
    assert identity(five) != identity(ten)
    assert not length_from_epochs(fixed)
    assert identity(Config(training=fixed)) == identity(Config(training=dataclasses.replace(fixed, epochs=10)))


def test_a_default_spelled_out_is_the_same_run():
    assert identity(Config(training=TrainingConfig(optimizer="Adam"))) == identity(Config())


@pytest.mark.parametrize(
    ("monitor", "smaller"),
    [("test_loss", True), ("validation_rmse", True), ("test_mae", True), ("test_auroc", False), ("test_r2", False)],
)
def test_what_better_means(monitor: str, smaller: bool):
    assert smaller_is_better(monitor) is smaller


def test_whole_numbers_serve_as_numbers_and_yes_does_not_serve_as_one():
    assert TrainingConfig(learning_rate=1).learning_rate == 1
    with pytest.raises(ConfigError, match=r"training\.epochs: found True, expected a valid integer"):
        TrainingConfig(epochs=True)


def test_what_needs_no_default_is_asked_for_by_name_when_it_is_used_not_in_a_form(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"^data\.source: found nothing, expected a path, .* or `sample`$"):
        open_run(Config(runs_folder=str(tmp_path / "runs")))
    with pytest.raises(ConfigError, match=r"^model: found nothing, expected the name of a model"):
        find_new_data(RetrainConfig(models_folder=str(tmp_path)))
    with pytest.raises(ConfigError, match=r"^train\.data\.source: found nothing, expected a path"):
        find_new_data(RetrainConfig(model="toy", models_folder=str(tmp_path)))
    with pytest.raises(ConfigError, match=r"^model: found nothing, expected the folder of a model"):
        PredictConfig(source="a.parquet").require_complete()
    with pytest.raises(ConfigError, match=r"^source: found nothing, expected a path"):
        rows_to_score(PredictConfig(model=str(tmp_path / "toy")))
    assert list(tmp_path.iterdir()) == []
