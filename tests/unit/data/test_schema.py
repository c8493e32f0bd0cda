"""What each column is, and what is predicted."""

import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tests.unit.stages import HALVES, hundred, loaded, prepared, schema_of, write
from unbroken.data.kinds import as_floats, kind_of
from unbroken.errors import DataError

NUMBERS = list(range(100))
DAYS = [datetime.date(2020, 1, 1) + datetime.timedelta(days=day) for day in NUMBERS]
TIMES = [datetime.datetime(2020, 1, 1) + datetime.timedelta(hours=hour) for hour in NUMBERS]
CLOCK = [datetime.time(number // 60, number % 60) for number in NUMBERS]
SPANS = [datetime.timedelta(seconds=number) for number in NUMBERS]
TEXTS = [f"value {number % 7}" for number in NUMBERS]

KINDS: dict[str, tuple[pa.DataType, list[Any], str]] = {
    "float16": (pa.float16(), [float(number) for number in NUMBERS], "number"),
    "float32": (pa.float32(), NUMBERS, "number"),
    "float64": (pa.float64(), NUMBERS, "number"),
    "int8": (pa.int8(), NUMBERS, "number"),
    "int64": (pa.int64(), NUMBERS, "number"),
    "uint64": (pa.uint64(), NUMBERS, "number"),
    "decimal": (pa.decimal128(12, 2), [Decimal(number) / 4 for number in NUMBERS], "number"),
    "large decimal": (pa.decimal256(50, 3), [Decimal(number) for number in NUMBERS], "number"),
    "narrow decimal": (pa.decimal32(5, 2), [Decimal(number) / 4 for number in NUMBERS], "number"),
    "less narrow decimal": (pa.decimal64(12, 2), [Decimal(number) / 4 for number in NUMBERS], "number"),
    "boolean of a byte": (pa.bool8(), [number % 3 == 0 for number in NUMBERS], "boolean"),
    "boolean": (pa.bool_(), [number % 3 == 0 for number in NUMBERS], "boolean"),
    "string": (pa.string(), TEXTS, "category"),
    "large string": (pa.large_string(), TEXTS, "category"),
    "string view": (pa.string_view(), TEXTS, "category"),
    "dictionary of text": (pa.dictionary(pa.int8(), pa.string()), TEXTS, "category"),
    "dictionary of wide codes": (pa.dictionary(pa.uint64(), pa.string()), TEXTS, "category"),
    "dictionary of large text": (pa.dictionary(pa.int32(), pa.large_string()), TEXTS, "category"),
    "dictionary of dates": (pa.dictionary(pa.int16(), pa.date32()), DAYS, "date"),
    "JSON": (pa.json_(), TEXTS, "category"),
    "dictionary of integers": (pa.dictionary(pa.int8(), pa.int64()), NUMBERS, "number"),
    "timestamp in seconds": (pa.timestamp("s"), TIMES, "timestamp"),
    "timestamp in nanoseconds": (pa.timestamp("ns"), TIMES, "timestamp"),
    "timestamp in a zone that no one knows": (pa.timestamp("us", "Nowhere/City"), TIMES, "timestamp"),
    "timestamp with a zone": (pa.timestamp("us", "Europe/Berlin"), TIMES, "timestamp"),
    "date": (pa.date32(), DAYS, "date"),
    "date in milliseconds": (pa.date64(), DAYS, "date"),
    "time of day": (pa.time64("ns"), CLOCK, "time"),
    "time of day in seconds": (pa.time32("s"), CLOCK, "time"),
    "duration in seconds": (pa.duration("s"), SPANS, "duration"),
    "duration in nanoseconds": (pa.duration("ns"), SPANS, "duration"),
}


def array(values: list[Any], type: pa.DataType) -> pa.Array:
    if isinstance(type, pa.Bool8Type):
        return pa.ExtensionArray.from_storage(type, pa.array(values, pa.bool_()).cast(pa.int8()))
    if pa.types.is_dictionary(type):
        return pa.array(values, type.value_type).dictionary_encode().cast(type)
    return pa.array(values, type)


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_column_goes_through_with_and_without_nulls(name: str, tmp_path: Path):
    type, values, kind = KINDS[name]
    gaps = [number % 5 == 0 for number in NUMBERS]
    whole = array(values, type)
    holed = array([None if gap else value for gap, value in zip(gaps, values, strict=True)], type)
    path = write(tmp_path / "a.parquet", {"whole": whole, "holed": holed, "label": HALVES})

    found = prepared(path, tmp_path)

    assert kind_of(type) == kind
    assert [column.kind for column in found.manifest.schema.features] == [kind, kind]
    for column in found.rows.columns:
        assert column.null_count == 0
    if kind != "category":
        low_high = [
            (min(column.to_pylist()), max(column.to_pylist())) for column in (found.rows["whole"], found.rows["holed"])
        ]
        assert all(0 <= low < high <= 1 for low, high in low_high)
        assert found.rows["holed__missing"].to_pylist() == [float(gap) for gap in gaps]
        assert "whole__missing" not in found.rows.column_names
    else:
        assert found.rows["holed"].to_pylist().count(1) == 20  # the code of a missing value
        assert min(found.rows["whole"].to_pylist()) == 2


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_of_day_and_durations_count_in_seconds(unit: str):
    clock = pa.time32(unit) if unit in ("s", "ms") else pa.time64(unit)
    times = pa.array([datetime.time(6), datetime.time(18, 30, 15), None], clock)
    spans = pa.array([datetime.timedelta(days=-400), datetime.timedelta(seconds=90), None], pa.duration(unit))

    subject = "{} {}".format
    np.testing.assert_array_equal(as_floats(times, "x", "time", subject), [21600.0, 66615.0, np.nan])
    np.testing.assert_array_equal(as_floats(spans, "x", "duration", subject), [-34560000.0, 90.0, np.nan])


def test_features_default_to_all_columns_but_the_last(tmp_path: Path):
    path = write(tmp_path / "a.parquet", {"a": NUMBERS, "b": TEXTS, "c": HALVES})

    schema = schema_of(path, tmp_path)

    assert [column.name for column in schema.features] == ["a", "b"]
    assert schema.label.name == "c"


def test_include_gives_the_features_and_their_order(tmp_path: Path):
    path = write(tmp_path / "a.parquet", {"a": NUMBERS, "b": TEXTS, "c": HALVES, "d": NUMBERS})

    schema = schema_of(path, tmp_path, label="c", include=("d", "a"))

    assert [column.name for column in schema.features] == ["d", "a"]


def test_exclude_leaves_out_also_what_could_not_be_used(tmp_path: Path):
    path = write(tmp_path / "a.parquet", {"a": NUMBERS, "b": [[1]] * 100, "c": HALVES})

    assert [column.name for column in schema_of(path, tmp_path, exclude=("b",)).features] == ["a"]


def test_integers_named_as_categories_get_codes(tmp_path: Path):
    path = write(tmp_path / "a.parquet", hundred([number % 4 * 10 for number in NUMBERS]))

    found = prepared(path, tmp_path, categories=("x",))

    assert found.encoder.categories[0].values == ("0", "10", "20", "30")
    assert found.rows["x"].to_pylist() == [number % 4 + 2 for number in NUMBERS]


def test_files_may_have_their_columns_in_another_order_and_more_of_them(tmp_path: Path):
    write(tmp_path / "data/1.parquet", {"a": NUMBERS, "b": TEXTS, "label": HALVES})
    write(tmp_path / "data/2.parquet", {"label": HALVES, "extra": [[1]] * 100, "b": TEXTS, "a": NUMBERS})

    rows = prepared(tmp_path / "data", tmp_path).rows

    assert rows.num_rows == 200
    assert rows.slice(0, 100).equals(rows.slice(100))


def test_files_may_have_numbers_of_other_types(tmp_path: Path):
    write(tmp_path / "data/1.parquet", hundred(pa.array(NUMBERS, pa.int8()), pa.array(HALVES, pa.int8())))
    write(tmp_path / "data/2.parquet", hundred(pa.array(NUMBERS, pa.float32()), pa.array(HALVES, pa.int64())))
    write(tmp_path / "data/3.parquet", hundred(pa.nulls(100), pa.array(HALVES, pa.float64())))

    found = prepared(tmp_path / "data", tmp_path)

    assert found.rows["x"].to_pylist()[:100] == found.rows["x"].to_pylist()[100:200]
    assert found.rows["label"].to_pylist() == HALVES * 3


def test_a_file_without_rows_says_nothing_about_the_columns(tmp_path: Path):
    write(tmp_path / "data/1.parquet", {"other": pa.array([], pa.string())})
    write(tmp_path / "data/2.parquet", hundred(NUMBERS))

    assert loaded(tmp_path / "data", tmp_path).rows == 100


LABELS: dict[str, tuple[Any, str, tuple[Any, ...]]] = {
    "0 and 1": (HALVES, "binary", (0, 1)),
    "1 and 2": ([value + 1 for value in HALVES], "binary", (1, 2)),
    "booleans": ([value == 0 for value in HALVES], "binary", (False, True)),
    "two texts": (["no", "yes"] * 50, "binary", ("no", "yes")),
    "two floats": ([0.5, 1.5] * 50, "binary", (0.5, 1.5)),
    "a dictionary": (pa.array(["no", "yes"] * 50).dictionary_encode(), "binary", ("no", "yes")),
    "three integers": ([number % 3 for number in NUMBERS], "multiclass", (0, 1, 2)),
    "three whole floats": ([float(number % 3) for number in NUMBERS], "multiclass", (0.0, 1.0, 2.0)),
    "twenty integers": ([number % 20 for number in NUMBERS], "multiclass", tuple(range(20))),
    "texts": ([f"{number % 30:02d}" for number in NUMBERS], "multiclass", tuple(f"{n:02d}" for n in range(30))),
    "21 integers": ([number % 21 for number in NUMBERS], "regression", ()),
    "floats": ([number / 3 for number in NUMBERS], "regression", ()),
    "decimals": (pa.array([Decimal(number) / 4 for number in NUMBERS], pa.decimal128(9, 2)), "regression", ()),
    "two decimals": (pa.array([Decimal("0.10"), Decimal("0.20")] * 50, pa.decimal128(9, 2)), "binary", (0.1, 0.2)),
    "half floats": (pa.array([float(n % 2) for n in NUMBERS], pa.float16()), "binary", (0.0, 1.0)),
    "unsigned": (pa.array([0, 2**63 - 1] * 50, pa.uint64()), "binary", (0, 2**63 - 1)),
}


@pytest.mark.parametrize("name", LABELS)
def test_what_is_predicted_follows_from_the_label(name: str, tmp_path: Path):
    label, task, classes = LABELS[name]
    path = write(tmp_path / "a.parquet", hundred(NUMBERS, label))

    found = prepared(path, tmp_path)

    schema = found.manifest.schema
    assert (schema.task, schema.classes) == (task, classes)
    assert [type(value) for value in schema.classes] == [type(value) for value in classes]
    if classes:
        values = pa.array(label).cast(pa.float64()) if "decimal" in name else pa.array(label)
        codes = [classes.index(value) for value in values.to_pylist()]
        assert found.rows["label"].to_pylist() == codes


def test_the_task_can_be_set(tmp_path: Path):
    path = write(tmp_path / "a.parquet", hundred(NUMBERS, [number % 3 for number in NUMBERS]))

    assert schema_of(path, tmp_path, task="regression").task == "regression"
    assert schema_of(path, tmp_path, task="multiclass").task == "multiclass"
    with pytest.raises(DataError, match=r"label: found 3 distinct values, expected 2 for data\.task binary"):
        schema_of(path, tmp_path, task="binary")


FAR: dict[str, tuple[pa.Array, str]] = {
    "the last day that Python knows": (pa.array([datetime.date(9999, 12, 31), *DAYS[1:]]), "9999-12-31"),
    "a year of five digits": (pa.array([3 * 10**17, *range(99)], pa.timestamp("us")), "11476-08-15"),
    "a duration of ages": (pa.array([2**62, *range(99)], pa.duration("s")), "e+18 s"),
}


@pytest.mark.parametrize("name", FAR)
def test_a_moment_that_python_has_no_date_for_trains_and_is_shown(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    column, shown = FAR[name]
    caplog.set_level("INFO")

    result = prepared(write(tmp_path / "a.parquet", hundred(column)), tmp_path)

    assert shown in caplog.text
    assert next(scale for scale in result.encoder.numbers if scale.name == "x").low < 2e9


def test_a_year_beyond_the_calendar_is_refused_by_row(tmp_path: Path):
    moments = pa.array([0] * 7 + [2**60] + [0] * 92, pa.timestamp("us"))

    with pytest.raises(DataError, match=r"column x, row 7: found a moment of the year 38504, expected -32767 .. 32767"):
        prepared(write(tmp_path / "a.parquet", hundred(moments)), tmp_path)


@pytest.mark.parametrize(
    ("last", "words"),
    [
        ({"index": [(row * 7919) % 100_003 for row in range(400)]}, "label index, the last column: found ids"),
        ({"n": list(range(400))}, "label n, the last column: found row numbers"),
        ({"name": [f"name {row}" for row in range(400)]}, "label name, the last column: found 400 different texts"),
    ],
)
def test_a_last_column_without_meaning_is_no_label_unless_it_is_named(last: dict[str, Any], words: str, tmp_path: Path):
    source = write(tmp_path / "a.parquet", {"x": [float(row % 9) for row in range(400)], **last})

    with pytest.raises(DataError, match=f"{words}.* Name another with data.label, such as --data.label x"):
        schema_of(source, tmp_path)
    (name,) = last
    assert schema_of(source, tmp_path, label=name).label.name == name


@pytest.mark.parametrize(
    ("last", "words"),
    [
        ({"day": [datetime.date(2024, 1, 1)] * 400}, "label day: found a date, expected numbers, booleans or text"),
        ({"same": [1] * 400}, "label same: found only the value 1, expected at least two to learn from"),
        ({"empty": pa.nulls(400)}, "label empty: found no value in any row"),
        ({"holes": pa.nulls(400, pa.float64())}, "label holes: found no value in any row"),
        ({"key": [f"key {row}" for row in range(2000)]}, "label key: found more than 1000 distinct texts"),
    ],
)
def test_a_last_column_that_cannot_be_predicted_is_refused_with_one_that_can(
    last: dict[str, Any], words: str, tmp_path: Path
):
    (values,) = last.values()
    texts, rows = ["a", "b"] * (len(values) // 2), [float(row % 9) for row in range(len(values))]
    source = write(tmp_path / "a.parquet", {"x": rows, "kind": texts, "number": list(range(len(values))), **last})

    with pytest.raises(DataError, match=f"{words}.*. Name another with data.label, such as --data.label kind"):
        schema_of(source, tmp_path)
    assert schema_of(source, tmp_path, label="kind", exclude=tuple(last)).label.name == "kind"


def test_a_feature_that_the_settings_name_is_not_the_label_by_default(tmp_path: Path):
    source = write(tmp_path / "a.parquet", hundred([float(row) for row in range(100)]))

    with pytest.raises(DataError, match=r"data\.include names label, the last column, which is predicted"):
        schema_of(source, tmp_path, include=("x", "label"))


def test_an_index_that_is_kept_is_not_the_label(tmp_path: Path):
    frame = pa.table(hundred([float(row) for row in range(100)])).to_pandas()
    frame.index = pd.Index([row % 9 for row in range(100)], name="group")
    frame.to_parquet(tmp_path / "a.parquet")

    schema = schema_of(tmp_path / "a.parquet", tmp_path, keep=("group",))

    assert schema.label.name == "label"
    assert "group" in [column.name for column in schema.features]


def test_classes_that_differ_in_spaces_or_capital_letters_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    labels = [("yes", "yes ", "no", "No")[row % 4] for row in range(100)]

    schema_of(write(tmp_path / "a.parquet", hundred([float(row) for row in range(100)], labels)), tmp_path)

    assert "label label: 'No', 'no', 'yes', 'yes ' differ in spaces or capital letters alone" in caplog.text
