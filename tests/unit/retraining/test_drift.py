"""Profiles of columns, what they say of two sets of rows, and the rules over them."""

import logging
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from unbroken.config import ChecksConfig
from unbroken.data.dataset import Dataset
from unbroken.data.schema import Column, Schema
from unbroken.errors import ConfigError, DataError
from unbroken.retraining.drift import Drift, check_drift, enforce_rules, measure_drift
from unbroken.retraining.profile import Profile, profile_rows
from unbroken.storage.artifact import from_json, to_json

SCHEMA = Schema(
    features=(
        Column(name="amount", kind="number"),
        Column(name="colour", kind="category"),
        Column(name="open", kind="boolean"),
        Column(name="time", kind="timestamp"),
    ),
    label=Column(name="late", kind="number"),
    task="binary",
    classes=(0, 1),
)
ROWS = 4000
IGNORED = ChecksConfig(nulls="ignore", ranges="ignore", unseen="ignore", label="ignore", psi="ignore", ks="ignore")


def only(rule: str, action: str) -> ChecksConfig:
    settings: dict[str, Any] = vars(IGNORED) | {rule: action}
    return ChecksConfig(**settings)


def rows_of(seed: int, **changed: object) -> dict[str, object]:
    draw = np.random.Generator(np.random.PCG64(seed))
    return {
        "amount": draw.normal(10, 2, ROWS),
        "colour": draw.choice(["red", "green", "blue"], ROWS),
        "open": draw.random(ROWS) < 0.5,
        "time": [datetime(2024, 1, 1) + timedelta(hours=row + 10_000 * seed) for row in range(ROWS)],
        "late": (draw.random(ROWS) < 0.2).astype(int),
        **changed,
    }


def profiled(path: Path, rows: dict[str, object], reference: Profile | None = None) -> Profile:
    pq.write_table(pa.table(rows), path)
    return profile_rows(
        [Dataset(path=str(path), digest="", rows=ROWS, columns=len(SCHEMA.features))], SCHEMA, reference
    )


@pytest.fixture
def reference(tmp_path: Path) -> Profile:
    return profiled(tmp_path / "before.parquet", rows_of(0))


def drifts_of(reference: Profile, tmp_path: Path, **changed: object) -> dict[str, Drift]:
    current = profiled(tmp_path / "now.parquet", rows_of(1, **changed), reference)
    return {drift.column: drift for drift in measure_drift(reference, current)}


def findings_of(
    rules: ChecksConfig, reference: Profile, tmp_path: Path, **changed: object
) -> list[tuple[str, str, str]]:
    current = profiled(tmp_path / "now.parquet", rows_of(1, **changed), reference)
    return [(finding.action, finding.column, finding.rule) for finding in check_drift(reference, current, rules)]


def test_bins_hold_equal_shares_of_the_rows_they_were_made_from(reference: Profile):
    amount = reference.columns[0]

    assert len(amount.shares) == 20
    assert amount.shares == pytest.approx([0.05] * 20, abs=0.001)
    assert amount.edges[9] == pytest.approx(10, abs=0.2)
    assert reference.rows == ROWS


def test_rows_of_the_same_kind_show_no_drift(reference: Profile, tmp_path: Path):
    drifts = drifts_of(reference, tmp_path)

    assert drifts["amount"].psi == pytest.approx(0, abs=0.02)
    assert drifts["amount"].ks == pytest.approx(0, abs=0.04)
    assert drifts["colour"].psi == pytest.approx(0, abs=0.02)
    assert findings_of(ChecksConfig(ks="warn"), reference, tmp_path) == []


def test_psi_and_ks_are_those_worked_out_by_hand(reference: Profile, tmp_path: Path):
    drifts = drifts_of(
        reference, tmp_path, colour=["red"] * (ROWS // 2) + ["green"] * (ROWS // 2), amount=[-5.0] * ROWS
    )

    shares = reference.columns[1].values
    red, green, blue = (0.5 - shares["red"], 0.5 - shares["green"], 1e-4 - shares["blue"])
    by_hand = (
        red * np.log(0.5 / shares["red"]) + green * np.log(0.5 / shares["green"]) + blue * np.log(1e-4 / shares["blue"])
    )
    assert drifts["colour"].psi == pytest.approx(by_hand)
    assert drifts["amount"].ks == pytest.approx(0.95, abs=0.001)
    assert drifts["amount"].outside == 1.0


def test_times_move_on_without_a_finding(reference: Profile, tmp_path: Path):
    drift = drifts_of(reference, tmp_path)["time"]

    assert (drift.psi, drift.ks, drift.outside) == (None, None, 0.0)


@pytest.mark.parametrize(
    ("rule", "column", "values", "words"),
    [
        ("nulls", "amount", pa.array([None] * 3000 + [10.0] * 1000), "share missing rose by"),
        ("ranges", "amount", np.linspace(0, 40, ROWS), "share outside the range of training"),
        ("unseen", "colour", ["violet"] * 1000 + ["red"] * 3000, "share of unseen values"),
        ("label", "late", [1] * 3000 + [0] * 1000, "label moved by"),
        ("psi", "open", [True] * ROWS, "PSI"),
        ("ks", "amount", np.random.Generator(np.random.PCG64(5)).normal(13, 2, ROWS), "KS"),
    ],
)
def test_each_rule_finds_its_column_and_is_silent_when_ignored(
    reference: Profile, tmp_path: Path, rule: str, column: str, values: object, words: str
):
    active = only(rule, "block")

    assert findings_of(active, reference, tmp_path, **{column: values}) == [("block", column, words)]
    assert findings_of(active, reference, tmp_path) == []
    assert findings_of(IGNORED, reference, tmp_path, **{column: values}) == []


def test_what_blocks_is_raised_with_its_numbers_and_what_warns_is_logged(
    reference: Profile, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    rules = ChecksConfig(nulls="block", unseen="warn")
    changed = {"amount": pa.array([None] * 3000 + [10.0] * 1000), "colour": ["violet"] * 1000 + ["red"] * 3000}
    current = profiled(tmp_path / "now.parquet", rows_of(1, **changed), reference)

    with caplog.at_level(logging.WARNING), pytest.raises(DataError) as raised:
        enforce_rules(check_drift(reference, current, rules), "may.parquet")

    assert str(raised.value).startswith("may.parquet: amount: share missing rose by 0.750, expected at most 0.5.")
    assert "may.parquet: colour: share of unseen values 0.250, expected at most 0.05" in caplog.text


def test_a_column_that_lost_all_its_values_is_found(reference: Profile, tmp_path: Path):
    drift = drifts_of(reference, tmp_path, amount=pa.nulls(ROWS, pa.float64()))["amount"]

    assert drift.missing_now == 1.0
    assert drift.psi is None


def test_the_mean_of_a_value_to_predict_moves_in_standard_deviations(tmp_path: Path):
    schema = Schema(features=SCHEMA.features[1:2], label=SCHEMA.features[0], task="regression", classes=())
    profiles: list[Profile] = []
    for seed, mean in ((0, 10.0), (1, 13.0)):
        draw = np.random.Generator(np.random.PCG64(seed))
        path = tmp_path / f"{seed}.parquet"
        pq.write_table(pa.table({"colour": ["red"] * ROWS, "amount": draw.normal(mean, 2, ROWS)}), path)
        file = Dataset(path=str(path), digest="", rows=ROWS, columns=len(SCHEMA.features))
        profiles.append(profile_rows([file], schema, profiles[0] if profiles else None))

    findings = check_drift(*profiles, only("label", "warn"))

    assert [finding.rule for finding in findings] == ["label moved by"]
    assert findings[0].found == pytest.approx(1.5, abs=0.1)


def test_a_profile_survives_its_file(reference: Profile):
    assert from_json(Profile, to_json(reference), "profile.json") == reference


def test_profiling_the_same_rows_twice_gives_the_same_bytes(reference: Profile, tmp_path: Path):
    assert to_json(profiled(tmp_path / "again.parquet", rows_of(0))) == to_json(reference)


def test_the_deviation_of_values_far_from_zero_keeps_its_digits(tmp_path: Path):
    values = np.random.Generator(np.random.PCG64(0)).normal(1e8, 1, ROWS)

    amount = profiled(tmp_path / "far.parquet", rows_of(0, amount=values)).columns[0]

    assert amount.mean == pytest.approx(values.mean(), rel=1e-12)
    assert amount.deviation == pytest.approx(values.std(), rel=1e-6)


def test_the_profile_of_the_same_rows_has_the_same_bytes_however_they_are_cut_into_row_groups(tmp_path: Path):
    count = 70_000
    values = np.random.Generator(np.random.PCG64(0)).normal(1e8, 1, count)
    rows = pa.table({"colour": ["red"] * count, "amount": pa.array(values, mask=np.arange(count) % 7 == 0)})
    schema = Schema(features=SCHEMA.features[:1], label=SCHEMA.features[1], task="multiclass", classes=("red",))
    path = tmp_path / "rows.parquet"

    contents = set()
    for group_rows in (count, 66_001, 999):
        pq.write_table(rows, path, row_group_size=group_rows)
        contents.add(to_json(profile_rows([Dataset(path=str(path), digest="", rows=count, columns=1)], schema)))

    assert len(contents) == 1


def test_a_limit_below_zero_is_refused():
    with pytest.raises(ConfigError, match=r"checks\.psi_limit: found -1, expected 0 or more"):
        ChecksConfig(psi_limit=-1)


def test_a_profile_written_by_an_earlier_version_is_read():
    content = (
        b'{"rows":2,"columns":[{"name":"amount","kind":"number","missing":0.5,"low":1.0,"high":1.0,"mean":1.0,'
        b'"deviation":0.0,"outside":0.0,"edges":[1.0],"shares":[0.0,1.0],"values":{}},'
        b'{"name":"late","kind":"category","missing":0.0,"low":null,"high":null,"mean":null,"deviation":null,'
        b'"outside":0.0,"edges":[],"shares":[],"values":{"0":0.5,"1":0.5}}]}'
    )

    profile = from_json(Profile, content, "profile.json")

    assert to_json(profile) == content
