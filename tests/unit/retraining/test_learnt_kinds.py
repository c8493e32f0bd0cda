"""A later month whose columns are kept as other types is read as what the champion learnt."""

import json
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.unit.retraining.monthly import arrives, config_for, encoder, month, registry, retrain
from unbroken.config import ChecksConfig
from unbroken.errors import DataError
from unbroken.features.learnt_kinds import as_kind

ROWS = 400
DIGITS = ("11", "12", "13", "14")
TEXT_DAYS = [f"2024-0{1 + row % 9}-15" for row in range(ROWS)]
NOTHING = pa.nulls(ROWS)
WARN = {"checks": ChecksConfig(nulls="warn")}


def drift_of(config: Any, column: str) -> dict[str, Any]:
    """Return what was measured of a column in the retraining that had a champion."""
    for path in (registry(config).folder / "cycles").glob("*/data_report.json"):
        for drift in json.loads(path.read_text())["drifts"]:
            if drift["column"] == column:
                return drift
    raise AssertionError(f"no drift of {column}")


def codes(*values: Any) -> list[Any]:
    return [values[row % len(values)] for row in range(ROWS)]


def narrow(seed: int, column: str, values: list[Any]) -> pa.Table:
    """Return a month with a column of other values, whose places the label gives if it is the label itself."""
    rows = month(seed)
    own = [values[place] for place in rows["y"].to_pylist()] if column == "y" else values
    return month(seed, 400, **{column: own}).select(
        list(dict.fromkeys(["leak", "code", "day", column, "y"])) if column != "y" else ["leak", "code", "y"]
    )


@pytest.mark.parametrize("ending", [pytest.param("parquet", marks=pytest.mark.slow), "csv"])
@pytest.mark.parametrize(
    ("column", "first", "later", "unseen"),
    [
        ("code", codes("11", "12", "a7", "b2"), codes(11, 12), 0.0),
        ("code", codes("04", "11", "a7", "b2"), codes("04", "11"), 0.0),
        ("code", codes("11", "12", "a7", "b2"), codes(11.0, None), 0.0),
        ("code", codes("2024-01-05", "2024-01-06", "a7"), codes(date(2024, 1, 5), date(2024, 1, 6)), 0.0),
        ("x", codes(0.5, 1.5, -0.25, 2.0), codes(1, 2), 0.0),
        ("x", codes(1, 2, 3, 4), codes(1.5, 2.5), 0.0),
        ("x", codes(1, 2, 3, 4), codes("1", "2"), 0.0),
        ("flag", codes(True, False), codes(0, 1), 0.0),
        ("flag", codes(True, False), codes(0.0, None), 0.0),
        ("day", codes(date(2024, 1, 5), date(2024, 5, 6)), TEXT_DAYS, 0.0),
        ("day", codes(date(2024, 1, 5), date(2024, 5, 6)), codes(datetime(2024, 2, 1), datetime(2024, 3, 1)), 0.0),
        ("day", codes(datetime(2024, 1, 5, 3), datetime(2024, 5, 6, 4)), codes(date(2024, 2, 1)), 0.0),
        ("y", ["0", "1"], [0, 1], 0.0),
        ("y", [0, 1], [0.0, 1.0], 0.0),
    ],
)
def test_a_month_of_another_type_is_what_the_champion_learnt(
    tmp_path: Path, ending: str, column: str, first: list[Any], later: list[Any], unseen: float
):
    arrives(tmp_path, f"1.{ending}", narrow(1, column, first))
    champion = retrain(config_for(tmp_path))
    arrives(tmp_path, f"2.{ending}", narrow(2, column, later))
    config = config_for(tmp_path, settings={"replay": 1.0})

    second = retrain(config)

    assert encoder(second).schema == encoder(champion).schema
    assert second.start == "from the champion's weights"
    assert drift_of(config, column)["unseen"] == unseen


@pytest.mark.parametrize("ending", [pytest.param("parquet", marks=pytest.mark.slow), "csv"])
@pytest.mark.parametrize("column", ["x", "code", "day"])
def test_a_month_without_any_value_blocks_by_its_rule_and_trains_where_that_only_warns(
    tmp_path: Path, ending: str, column: str
):
    arrives(tmp_path, f"1.{ending}", month(1))
    champion = retrain(config_for(tmp_path))
    arrives(tmp_path, f"2.{ending}", month(2, **{column: NOTHING}))

    with pytest.raises(
        DataError, match=rf"{column}: share missing rose by 1\.000, expected at most 0\.5.*set the rule"
    ):
        retrain(config_for(tmp_path))
    second = retrain(config_for(tmp_path, settings=WARN))

    assert encoder(second).schema == encoder(champion).schema
    assert drift_of(config_for(tmp_path), column)["missing_now"] == 1.0


@pytest.mark.parametrize(
    ("column", "later", "message"),
    [
        (
            "x",
            codes("1", "many"),
            r"2\.parquet: column x, row 0 or below: found string, expected a number as in training",
        ),
        ("day", codes("soon"), r"2\.parquet: column day, row 0 or below: found string, expected a date as in training"),
        ("day", codes(datetime(2024, 1, 5, 3)), r"column day, row 0 or below: found timestamp\[us\], expected a date"),
        ("code", codes(1.5), r"column code, row 0: found 1\.5, expected a whole number or text"),
        ("y", codes("0", "yes"), r"column y, row 0 or below: found string, expected a number as in training"),
    ],
)
def test_a_value_of_another_kind_blocks_by_name(tmp_path: Path, column: str, later: list[Any], message: str):
    arrives(tmp_path, "1.parquet", month(1))
    first = retrain(config_for(tmp_path))
    arrives(tmp_path, "2.parquet", month(2, 400, **{column: later}))

    with pytest.raises(DataError, match=message):
        retrain(config_for(tmp_path))

    assert registry(config_for(tmp_path)).champion() == first.challenger
    assert registry(config_for(tmp_path)).history()[-1]["event"] == "blocked"


@pytest.mark.parametrize(
    ("values", "kind"),
    [(pa.array([2, 0]), "boolean"), (pa.array([0.5, 1.0]), "boolean"), (pa.array([True, False]), "date")],
)
def test_a_value_that_would_lose_a_part_of_itself_is_refused(values: pa.Array, kind: str):
    with pytest.raises(DataError, match=f"a, row 0 or below: found .*, expected a {kind}"):
        as_kind(values, "a", kind, lambda name, row: f"{name}, row {row}")
