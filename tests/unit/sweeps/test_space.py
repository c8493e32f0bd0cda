from pathlib import Path

import pytest

from unbroken.config import Config
from unbroken.errors import ConfigError
from unbroken.storage.artifact import from_json, to_json
from unbroken.sweeps.space import Space, apply


def read(tmp_path: Path, text: str) -> Space:
    path = tmp_path / "space.toml"
    path.write_text(text)
    return Space.read(path, Config())


def test_dotted_names_and_tables_in_tables_are_the_same_space(tmp_path: Path):
    rate, dropout = "{ low = 1e-3, high = 0.1, log = true }", "{ low = 0.0, high = 0.5 }"
    dotted = f'"training.learning_rate" = {rate}\n"model.options.dropout" = {dropout}'
    nested = f"[model.options]\ndropout = {dropout}\n[training]\nlearning_rate = {rate}"

    assert read(tmp_path, dotted) == read(tmp_path, nested)


def test_a_space_is_the_same_after_json(tmp_path: Path):
    space = read(
        tmp_path,
        '"training.batch_size" = { low = 16, high = 64 }\n"model.options.hidden" = { choices = [[4], [8, 4]] }',
    )

    assert from_json(Space, to_json(space), "space") == space


def test_whole_numbers_stay_whole_and_those_of_a_float_do_not(tmp_path: Path):
    space = read(
        tmp_path,
        '"training.batch_size" = { low = 16, high = 64, step = 16 }\n"training.learning_rate" = { low = 1, high = 2 }',
    )

    settings = space.settings({"training.batch_size": 32.0, "training.learning_rate": 1.23456789})

    assert settings == {"training.batch_size": 32, "training.learning_rate": 1.23457}
    assert type(settings["training.batch_size"]) is int


def test_the_size_of_a_space_counts_its_trials(tmp_path: Path):
    batches, precisions = "{ low = 16, high = 64, step = 16 }", '{ choices = ["float32", "bfloat16"] }'
    finite = f'"training.batch_size" = {batches}\n"training.precision" = {precisions}'

    assert read(tmp_path, finite).size == 8
    assert read(tmp_path, finite + '\n"model.options.dropout" = { low = 0.0, high = 0.3, step = 0.1 }').size == 32
    assert read(tmp_path, finite + '\n"model.options.dropout" = { low = 0.0, high = 0.3 }').size == float("inf")


def test_settings_are_put_into_those_of_a_training_and_leave_its_others():
    base = apply(Config(), {"model.options.dropout": 0.1})

    config = apply(
        base, {"model.options.hidden": [8], "training.learning_rate": 0.5, "training.class_weights": [1.0, 2.0]}
    )

    assert config.model.options == {"dropout": 0.1, "hidden": [8]}
    assert config.training.learning_rate == 0.5
    assert config.training.class_weights == (1.0, 2.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "found {}, expected a setting or more"),
        ("[training", "cannot be read as TOML"),
        ("x = 3", "x: found no setting that trials may differ in"),
        ('"data.label" = { choices = ["a"] }', "data.label: found no setting that trials may differ in"),
        (
            '"training.speed" = { low = 1, high = 3 }',
            "training.speed: found no setting of this name, expected one of epochs",
        ),
        ('"training.epochs" = { low = 1, high = 3 }', "training.epochs: found a setting that all trials share"),
        ('"model.options" = { choices = [1] }', "model.options: found model.options, expected model.options.NAME"),
        ('"training.learning_rate" = 0.1', "training.learning_rate: found 0.1, expected a table such as"),
        ('"training.learning_rate" = { low = 1.0 }', "training.learning_rate: found no high, expected a table"),
        ('"training.learning_rate" = { low = "a", high = 2.0 }', "training.learning_rate.low: found 'a', expected"),
        ('"training.learning_rate" = { low = 1e-3, high = 1e-1, logg = true }', "found logg, expected a table"),
        ('"training.learning_rate" = { low = 0.1, high = 0.01 }', "high: found 0.01, expected above low, 0.1"),
        ('"training.learning_rate" = { low = nan, high = 0.01 }', "low: found nan, expected finite"),
        (
            '"training.learning_rate" = { low = 0.0, high = 0.1, log = true }',
            "low: found 0.0, expected above 0 with log",
        ),
        (
            '"training.learning_rate" = { low = 1e-3, high = 0.1, step = 0.2 }',
            "step: found 0.2, expected above 0, and at most",
        ),
        (
            '"training.learning_rate" = { low = -0.1, high = 0.1 }',
            "with -0.1: training.learning_rate: found -0.1, expected",
        ),
        (
            '"training.batch_size" = { low = 1.5, high = 3.5 }',
            "training.batch_size: found 1.5, expected a valid integer",
        ),
        (
            '"training.batch_size" = { choices = [64, "big"] }',
            "training.batch_size: found 'big', expected a valid integer",
        ),
        ('"training.optimizer" = { choices = [] }', "choices: found [], expected one value or more"),
        ('"training.optimizer" = { choices = ["Adam", "Adam"] }', "choices: found 'Adam', expected each value once"),
        ('"training.optimizer" = { choices = [1979-05-27] }', "expected no dates and times"),
        ('"model.options.dropout" = { low = 0.0, high = 1.5 }', "model.options.dropout: found 1.5, expected a dropout"),
    ],
)
def test_a_space_that_cannot_be_searched_is_refused_by_file_and_name(tmp_path: Path, text: str, message: str):
    with pytest.raises(ConfigError) as refusal:
        read(tmp_path, text)

    assert str(refusal.value).startswith(f"{tmp_path / 'space.toml'}: ")
    assert message in str(refusal.value)
