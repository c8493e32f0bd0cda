"""What the settings ask of a challenger is honoured, or refused by name."""

import json
import logging
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.unit.retraining.monthly import arrives, config_for, encoder, feature_names, month, registry, retrain
from unbroken import pipeline
from unbroken.config import DataConfig
from unbroken.data.schema import Column, Schema
from unbroken.errors import ConfigError, DataError
from unbroken.retraining.contract import agreed_data, changed_features, changed_prediction

CHAMPION = Schema(
    features=(Column(name="x", kind="number"), Column(name="code", kind="category")),
    label=Column(name="y", kind="number"),
    task="binary",
    classes=(0, 1),
)


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({}, ("x", "code")),
        ({"include": ("code", "x")}, ("x", "code")),
        ({"label": "y", "task": "binary", "exclude": ("other",)}, ("x", "code")),
        ({"exclude": ("x",)}, ("code",)),
        ({"include": ("x", "age")}, ("x", "age")),
        ({"keep": ("age",)}, ("x", "code", "age")),
    ],
)
def test_features_are_those_of_the_champion_until_the_settings_name_others(
    settings: dict[str, Any], names: tuple[str, ...]
):
    data = DataConfig(**settings)

    agreed = agreed_data(data, CHAMPION)

    assert (agreed.include, agreed.exclude, agreed.keep) == (names, (), ())
    assert (agreed.label, agreed.task) == ("y", "binary")
    assert changed_prediction(data, CHAMPION) == []
    assert bool(changed_features(data, CHAMPION)) is (names != ("x", "code"))


def test_without_any_feature_left_the_settings_are_refused():
    with pytest.raises(ConfigError, match=r"data\.exclude: no feature is left of the champion's x, code"):
        agreed_data(DataConfig(exclude=("x", "code")), CHAMPION)


def test_a_leaking_feature_can_be_taken_away_and_both_models_are_compared_on_the_same_rows(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    arrives(tmp_path, "1.parquet", month(1))
    first = retrain(config_for(tmp_path))
    assert "leak" in feature_names(first)
    config = config_for(tmp_path, exclude=("leak",))
    with caplog.at_level(logging.WARNING):
        assert pipeline.retrain(config) is None
    assert "the settings ask for a model without leak: it is trained when rows come that are new" in caplog.text
    arrives(tmp_path, "2.parquet", month(2))

    second = retrain(config)

    assert feature_names(second) == ["x", "code", "day", "z"]
    assert second.verdict.champion > 0.95  # the champion sees its leak, and is judged with it
    assert second.verdict.challenger < second.verdict.champion
    assert not second.verdict.promote
    assert second.start == "from scratch: its features are not the champion's"
    manifest = Path(second.challenger.path).with_suffix(".json").read_text()
    assert '"warm_from_sha256": null' in manifest


def test_a_leaking_feature_whose_champion_is_not_to_be_compared_is_gone_at_once(tmp_path: Path):
    arrives(tmp_path, "1.parquet", month(1))
    retrain(config_for(tmp_path))

    second = retrain(config_for(tmp_path, gate={"replace": True}, exclude=("leak", "z")))

    assert feature_names(second) == ["x", "code", "day"]
    assert second.verdict.champion == 0.5
    assert second.champion == second.challenger.digest
    assert pipeline.retrain(config_for(tmp_path, gate={"replace": True}, exclude=("leak", "z"))) is None


def test_a_feature_can_be_added_though_older_files_lack_it(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    arrives(tmp_path, "1.parquet", month(1, leak=None))
    retrain(config_for(tmp_path))
    arrives(tmp_path, "2.parquet", month(2))

    with caplog.at_level(logging.WARNING):
        second = retrain(config_for(tmp_path, keep=("leak",)))

    assert feature_names(second) == ["x", "code", "day", "z", "leak"]
    assert second.verdict.promote
    assert "1.parquet: no column leak: older files without it are not replayed" in caplog.text


def test_a_feature_of_the_champion_that_is_gone_names_the_way_out(tmp_path: Path):
    arrives(tmp_path, "1.parquet", month(1))
    retrain(config_for(tmp_path))
    arrives(tmp_path, "2.parquet", month(2, leak=None))

    with pytest.raises(DataError, match=r"2\.parquet: no column leak; .*The champion needs it.*gate\.replace"):
        retrain(config_for(tmp_path, exclude=("leak",)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"label": "z"}, r"data\.label: found 'z', expected 'y', which the champion predicts.*gate\.replace"),
        (
            {"task": "regression"},
            r"data\.task: found 'regression', expected 'binary', which the champion.*gate\.replace",
        ),
        ({"task": "multiclass"}, r"data\.task: found 'multiclass', expected 'binary'"),
    ],
)
@pytest.mark.parametrize("months", [1, 2])
def test_another_label_or_task_is_refused_by_name_and_nothing_is_promoted(
    tmp_path: Path, settings: dict[str, Any], message: str, months: int
):
    arrives(tmp_path, "1.parquet", month(1))
    first = retrain(config_for(tmp_path))
    for number in range(1, months):
        arrives(tmp_path, f"{number + 1}.parquet", month(number + 1))
    runs = sorted((tmp_path / "runs").iterdir())

    with pytest.raises(ConfigError, match=message):
        pipeline.retrain(config_for(tmp_path, **settings))

    assert registry(config_for(tmp_path)).champion() == first.challenger
    assert sorted((tmp_path / "runs").iterdir()) == runs


def test_another_label_begins_anew_on_all_rows_where_that_is_meant(tmp_path: Path):
    arrives(tmp_path, "1.parquet", month(1))
    retrain(config_for(tmp_path))
    arrives(tmp_path, "2.parquet", month(2))
    config = config_for(tmp_path, gate={"replace": True}, label="z", exclude=("y", "leak"))

    second = retrain(config)

    assert (second.verdict.promote, second.verdict.champion, second.verdict.rows) == (True, 0.5, 160)
    assert feature_names(second) == ["x", "code", "day"]
    assert second.start == "from scratch: there is no champion to start from"
    assert pipeline.retrain(config) is None
    arrives(tmp_path, "3.parquet", month(3))
    third = retrain(config)
    assert third.start == "from the champion's weights"
    assert third.verdict.champion > 0.5


def test_a_number_can_become_a_text_by_the_settings(tmp_path: Path):
    arrives(tmp_path, "1.csv", month(1, code=[str(10 + row % 4) for row in range(400)]))
    retrain(config_for(tmp_path))
    arrives(tmp_path, "2.csv", month(2, code=[str(10 + row % 4) for row in range(400)]))

    second = retrain(config_for(tmp_path, types={"code": "text"}))

    assert second.start == "from scratch: its features are not the champion's"
    assert second.verdict.champion > 0.9


def test_a_null_word_that_the_settings_name_later_is_one(tmp_path: Path):
    arrives(tmp_path, "1.csv", month(1, code=["none", "a", "b", "c"] * 100))
    retrain(config_for(tmp_path, null_words=()))
    arrives(tmp_path, "2.csv", month(2, code=["none", "a", "b", "c"] * 100))

    retrain(config_for(tmp_path, null_words=("none",), settings={"replay": 0.0}))

    config = config_for(tmp_path)
    (report,) = (
        path for path in (registry(config).folder / "cycles").glob("*/data_report.json") if "code" in path.read_text()
    )
    drifts = {drift["column"]: drift for drift in json.loads(report.read_text())["drifts"]}
    assert drifts["code"]["missing_now"] == 0.25


def test_a_column_that_is_no_more_excluded_is_named_with_the_way_to_have_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)
    arrives(tmp_path, "1.parquet", month(1))
    retrain(config_for(tmp_path, exclude=("leak", "z")))
    arrives(tmp_path, "2.parquet", month(2))

    second = retrain(config_for(tmp_path, exclude=("z",)))

    assert feature_names(second) == ["x", "code", "day"]
    assert "2.parquet: the champion has no feature leak: name it in data.keep to train with it" in caplog.text


@pytest.mark.parametrize("start", ["auto", "scratch"])
def test_a_challenger_reads_dates_in_the_order_of_the_files_that_trained_it(tmp_path: Path, start: str):
    for number in (1, 2):
        rows = month(number)
        days = pa.array([f"{day:%d/%m/%Y}" for day in rows["day"].to_pylist()])
        arrives(tmp_path, f"{number}.csv", rows.set_column(rows.schema.get_field_index("day"), "day", days))
        decision = retrain(config_for(tmp_path, settings={"start": start}))

    assert encoder(decision).formats == {"day": "date, day first"}
