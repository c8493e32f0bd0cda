"""A challenger that cannot start from the champion's weights starts from scratch, and says why."""

import logging
from pathlib import Path
from typing import Any

import pytest

from tests.unit.retraining.monthly import arrives, config_for, month, registry, retrain
from unbroken import pipeline
from unbroken.checkpoints.published import read_published
from unbroken.config import ModelConfig, PreprocessConfig, StartConfig, TrainingConfig
from unbroken.errors import ConfigError

OWN = "tests.unit.own_model:NoisyNet"
WIDER = ModelConfig(options={"hidden": [12]})
KEEP = StartConfig(optimizer="keep")
ADAM = TrainingConfig(epochs=2, batch_size=32)
MOMENTUM = TrainingConfig(epochs=2, batch_size=32, optimizer="SGD", optimizer_options={"momentum": 0.9})


@pytest.mark.parametrize(
    ("settings", "start"),
    [
        ({}, "from the champion's weights"),
        (
            {"model": ModelConfig(options={"hidden": [8], "dropout": 0.1})},
            "from scratch: the champion's weights do not fit: layers.",
        ),
        (
            {"model": WIDER},
            "from scratch: the champion's weights do not fit: layers.0.weight: found torch.float32 [8, ",
        ),
        (
            {"model": WIDER, "start": StartConfig(scaler="refit")},
            "from scratch: the champion's weights do not fit: layers.0.weight: found",
        ),
        (
            {"model": ModelConfig(options={"hidden": [8, 8]})},
            "from scratch: the champion's weights do not fit: layers.",
        ),
        ({"model": ModelConfig(factory=OWN, options={"width": 8})}, f"from scratch: its model is built by {OWN}"),
        ({"preprocess": PreprocessConfig(clip_quantile=0.01)}, "from scratch: preprocess is {'clip_quantile': 0.01"),
        (
            {"preprocess": PreprocessConfig(clip_quantile=0.01), "start": StartConfig(scaler="refit")},
            "from the champion's weights",
        ),
        ({"start": KEEP}, "from the champion's weights"),
        ({"start": KEEP, "training": MOMENTUM}, "from the champion's weights: the optimizer begins anew"),
    ],
)
def test_what_does_not_fit_the_champion_starts_from_scratch_and_says_why(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, settings: dict[str, Any], start: str
):
    arrives(tmp_path, "1.parquet", month(1))
    first = retrain(config_for(tmp_path, train={"training": ADAM}))
    assert first.start == "from scratch: there is no champion to start from"
    arrives(tmp_path, "2.parquet", month(2))
    config = config_for(tmp_path, train={"training": ADAM} | settings)

    with caplog.at_level(logging.INFO):
        second = retrain(config)

    assert second.start.startswith(start)
    assert f"the challenger starts {second.start}" in caplog.text
    assert registry(config).history()[-1]["start"] == second.start
    assert second.start in str(second)
    manifest = Path(second.challenger.path).with_suffix(".json").read_text()
    assert (f'"warm_from_sha256": "{first.challenger.digest}"' in manifest) is start.startswith("from the champion's")


def test_a_champion_of_another_factory_is_called_only_where_the_settings_name_it(tmp_path: Path):
    arrives(tmp_path, "1.parquet", month(1))
    own = ModelConfig(factory=OWN, options={"width": 8})
    retrain(config_for(tmp_path, train={"model": own}))
    arrives(tmp_path, "2.parquet", month(2))
    runs = sorted((tmp_path / "runs").iterdir())

    with pytest.raises(ConfigError, match=f"the champion's model is built by '{OWN}'.*gate.champion_factory"):
        pipeline.retrain(config_for(tmp_path))

    assert sorted((tmp_path / "runs").iterdir()) == runs
    second = retrain(config_for(tmp_path, gate={"champion_factory": OWN}))
    assert second.start == f"from scratch: its model is built by mlp, the champion's by {OWN}"
    assert second.verdict.champion > 0.5


def test_without_a_model_in_the_settings_a_challenger_is_built_as_the_champion(tmp_path: Path):
    arrives(tmp_path, "1.parquet", month(1))
    first = retrain(config_for(tmp_path, train={"model": ModelConfig(factory="plr", options={"hidden": [8]})}))
    arrives(tmp_path, "2.parquet", month(2))

    second = retrain(config_for(tmp_path, train={"model": ModelConfig()}))

    assert second.start == "from the champion's weights"
    models = [
        read_published(Path(version.path))[0]["config"]["model"] for version in (first.challenger, second.challenger)
    ]
    assert models[0] == models[1] == {"factory": "plr", "options": {"hidden": [8]}}
