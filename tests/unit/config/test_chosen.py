"""What is not set is chosen: rows that validate, when to stop and what to publish; what is set wins."""

from typing import Any

import pytest

from unbroken.config import CheckpointConfig, Config, DataConfig, ModelConfig, SplitConfig, StartConfig, TrainingConfig
from unbroken.config.config import identity
from unbroken.errors import ConfigError


def configured(source: str = "rows.parquet", /, **groups: dict[str, Any]) -> Config:
    return Config(
        data=DataConfig(source=source),
        split=SplitConfig(**groups.get("split", {})),
        training=TrainingConfig(**groups.get("training", {})),
        checkpoint=CheckpointConfig(**groups.get("checkpoint", {})),
    )


def test_by_default_a_tenth_of_the_rows_that_do_not_test_chooses_when_to_stop_and_what_to_publish():
    chosen = configured().chosen

    assert (chosen.split.test_fraction, chosen.split.validation_share) == (0.2, 0.08)
    assert (chosen.epochs, chosen.patience, chosen.monitor) == (200, 20, "validation_loss")
    assert (chosen.publish, chosen.test_scores) == ("best", "once")
    assert (chosen.model.factory, chosen.model.options) == ("tabm", {})
    assert [reason.split(":")[0] for reason in chosen.reasons] == [
        "tabm errs least on most tables tried; --model.factory mlp trains in a tenth of the time",
        "8% of the rows validate",
        "200 epochs at most",
        "over after 20 epochs in which the validation rows fare no better",
        "the best epoch is published",
    ]


def test_the_classic_example_has_five_epochs_tests_beside_each_and_chooses_nothing():
    chosen = configured("sample").chosen

    assert (chosen.split.kind, chosen.split.validation_share) == ("random", 0.0)
    assert (chosen.epochs, chosen.patience, chosen.monitor) == (5, None, None)
    assert (chosen.publish, chosen.test_scores, chosen.reasons) == ("last", "every_epoch", ())
    assert chosen.model.factory == "mlp"


@pytest.mark.parametrize(
    ("groups", "factory"),
    [
        ({"model": ModelConfig(factory="plr")}, "plr"),
        ({"model": ModelConfig(factory="own:build", options={"width": 3})}, "own:build"),
        ({"model": ModelConfig(options={"hidden": [8]})}, "mlp"),
        ({"start": StartConfig(warm_from="checkpoint.pth", scaler="refit")}, "mlp"),
        ({"start": StartConfig(warm_from="checkpoint.pth")}, "tabm"),
    ],
)
def test_a_named_model_wins_and_settings_that_fit_an_mlp_alone_mean_one(groups: dict[str, Any], factory: str):
    config = Config(data=DataConfig(source="rows.parquet"), **groups)

    assert config.chosen.model.factory == factory
    assert config.chosen.model.options == config.model.options
    assert identity(config)["model"] == {"factory": factory, "options": config.model.options}
    assert any("errs least" in reason for reason in config.chosen.reasons) == (factory == "tabm")


def test_without_rows_that_validate_nothing_is_chosen():
    chosen = configured(split={"validation_fraction": 0.0}).chosen

    assert (chosen.epochs, chosen.patience, chosen.monitor) == (20, None, None)
    assert (chosen.publish, chosen.test_scores) == ("last", "every_epoch")
    assert chosen.reasons[1:] == ("20 epochs: no rows validate, so nothing tells when to stop",)


@pytest.mark.parametrize(
    ("group", "name", "value", "attribute"),
    [
        ("training", "epochs", 7, "epochs"),
        ("training", "patience", 3, "patience"),
        ("training", "patience", None, "patience"),
        ("training", "monitor", "validation_auroc", "monitor"),
        ("training", "test_scores", "every_epoch", "test_scores"),
        ("checkpoint", "publish", "last", "publish"),
    ],
)
def test_what_is_set_wins(group: str, name: str, value: Any, attribute: str):
    assert getattr(configured(**{group: {name: value}}).chosen, attribute) == value


@pytest.mark.parametrize(
    "groups",
    [
        {"training": {"patience": 3}},
        {"training": {"monitor": "validation_f1"}},
        {"training": {"scheduler": "ReduceLROnPlateau"}},
        {"checkpoint": {"publish": "best"}},
    ],
)
def test_a_setting_that_needs_rows_that_validate_gets_them_and_is_refused_without(groups: dict[str, Any]):
    assert configured("sample", **groups).chosen.validates

    name = ".".join(next((group, name) for group, settings in groups.items() for name in settings))
    with pytest.raises(
        ConfigError, match=rf"split\.validation_fraction: found 0\.0, expected above 0 for {name}: only"
    ):
        configured(**groups, split={"validation_fraction": 0.0})


@pytest.mark.parametrize("source", ["sample", "rows.parquet"])
def test_more_epochs_than_chosen_are_the_same_run(source: str):
    assert identity(configured(source)) == identity(configured(source, training={"epochs": 300}))


def test_what_is_chosen_spelled_out_is_the_same_run():
    spelled = {"epochs": 200, "monitor": "validation_loss", "patience": 20, "test_scores": "once"}

    assert identity(configured()) == identity(
        configured(training=spelled, split={"validation_fraction": 0.08}, checkpoint={"publish": "best"})
    )
