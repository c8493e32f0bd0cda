"""Which of two classes is the positive one, whose probability is predicted."""

from pathlib import Path
from typing import Any

import pytest

from tests.unit.retraining.monthly import arrives, config_for, encoder, month, retrain
from tests.unit.stages import hundred, schema_of, write
from unbroken.errors import ConfigError, DataError

NUMBERS = [row % 7 / 7 for row in range(100)]
LABELS: dict[str, tuple[list[Any], tuple[Any, ...]]] = {
    "the rarer text": (["yes"] * 70 + ["no"] * 30, ("yes", "no")),
    "the rarer text, the other way round": (["yes"] * 30 + ["no"] * 70, ("no", "yes")),
    "the later of two equally frequent texts": (["yes", "no"] * 50, ("no", "yes")),
    "the larger number, however frequent": ([1] * 70 + [0] * 30, (0, 1)),
    "true, however frequent": ([True] * 70 + [False] * 30, (False, True)),
}


@pytest.mark.parametrize("name", LABELS)
def test_the_positive_class_is(name: str, tmp_path: Path):
    label, classes = LABELS[name]
    path = write(tmp_path / "a.parquet", hundred(NUMBERS, label))

    assert schema_of(path, tmp_path).classes == classes


@pytest.mark.parametrize(
    ("label", "positive", "classes"),
    [
        (["yes"] * 70 + ["no"] * 30, "yes", ("no", "yes")),
        ([1] * 70 + [0] * 30, "0", (1, 0)),
        ([True, False] * 50, "False", (True, False)),
        ([1.0] * 70 + [0.0] * 30, "0", (1.0, 0.0)),
        ([True, False] * 50, "1", (False, True)),
        ([1, 0] * 50, "False", (1, 0)),
    ],
)
def test_it_is_the_one_that_is_named(label: list[Any], positive: str, classes: tuple[Any, ...], tmp_path: Path):
    path = write(tmp_path / "a.parquet", hundred(NUMBERS, label))

    assert schema_of(path, tmp_path, positive=positive).classes == classes


def test_a_class_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path):
    path = write(tmp_path / "a.parquet", hundred(NUMBERS, ["yes", "no"] * 50))

    with pytest.raises(DataError, match=r"label label: data\.positive: found 'maybe', expected 'no' or 'yes'"):
        schema_of(path, tmp_path, positive="maybe")


def test_of_three_classes_none_is_positive(tmp_path: Path):
    path = write(tmp_path / "a.parquet", hundred(NUMBERS, ["a", "b", "c", "a"] * 25))

    with pytest.raises(DataError, match=r"found multiclass, expected two classes for data\.positive 'a'"):
        schema_of(path, tmp_path, positive="a")


def test_a_probability_stays_that_of_the_champions_class_when_another_becomes_the_rarer(tmp_path: Path):
    def labelled(number: int, threshold: float) -> Any:
        rows = month(number)
        return month(number, y=["yes" if x > threshold else "no" for x in rows["x"].to_pylist()])

    arrives(tmp_path, "1.parquet", labelled(1, 0.7))
    first = retrain(config_for(tmp_path))
    arrives(tmp_path, "2.parquet", labelled(2, -0.7))

    second = retrain(config_for(tmp_path))

    assert encoder(first).schema.classes == encoder(second).schema.classes == ("no", "yes")
    arrives(tmp_path, "3.parquet", labelled(3, 0.7))
    with pytest.raises(ConfigError, match=r"data\.positive: found 'no', expected 'yes', which the champion predicts"):
        retrain(config_for(tmp_path, positive="no"))
