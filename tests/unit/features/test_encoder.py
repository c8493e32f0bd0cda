"""What columns become: 0 .. 1, indicators, calendar parts and codes."""

import datetime
import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from unbroken.data.kinds import Kind
from unbroken.data.schema import Column, Schema
from unbroken.errors import DataError
from unbroken.features.encoder import MISSING, UNSEEN, CategoryCodes, Encoder, LabelScale, NumberScale
from unbroken.storage.artifact import from_json, to_json


def subject(name: str, place: int) -> str:
    return f"here: column {name}, row {place}"


def scale(low: float = 0.0, high: float = 10.0, *, kind: Kind = "number", fill: float = 5.0, indicator: bool = False):
    return NumberScale(name="x", kind=kind, low=low, high=high, fill=fill, indicator=indicator)


def transformed(scaling: NumberScale, values: Any) -> list[list[float]]:
    column = values if isinstance(values, pa.Array) else pa.array(values)
    return [part.tolist() for part in scaling.transform(column, subject)]


def test_numbers_go_to_0_1_and_what_lies_outside_is_clipped():
    assert transformed(scale(), [0.0, 2.5, 10.0, -3.0, 1e300]) == [[0, 0.25, 1, 0, 1]]


def test_a_constant_is_0():
    assert transformed(scale(7.0, 7.0), [7.0, 8.0, None]) == [[0, 0, 0]]


def test_missing_numbers_take_the_mean_and_are_marked():
    assert transformed(scale(indicator=True), [2.0, None, math.nan]) == [[np.float32(0.2), 0.5, 0.5], [0, 1, 1]]
    assert scale(indicator=True).names() == ["x", "x__missing"]


def test_booleans_are_0_and_1():
    assert transformed(scale(0, 1, kind="boolean", fill=0.25), [True, False, None]) == [[1, 0, 0.25]]


@pytest.mark.parametrize("missing", [[], [None], [math.nan]])
def test_float32_values_are_scaled_to_the_bits_of_the_same_values_as_float64(missing: list[Any]):
    values = np.random.Generator(np.random.PCG64(0)).standard_normal(1000).astype(np.float32).tolist() + missing
    scaling = scale(-2.1, 2.3, fill=0.123456789012345)

    (narrow,) = scaling.transform(pa.array(values, pa.float32()), subject)
    (wide,) = scaling.transform(pa.array(values, pa.float64()), subject)

    assert narrow.tobytes() == wide.tobytes()


@pytest.mark.parametrize("low", [-1e308, -1.7976931348623157e308])
def test_the_whole_range_of_floats_does_not_overflow(low: float):
    assert transformed(scale(low, -low, fill=0.0), [low, 0.0, -low, None]) == [[0, 0.5, 1, 0.5]]


def test_numbers_a_hair_apart_keep_their_order():
    (values,) = transformed(scale(1e15, 1e15 + 1), [1e15, 1e15 + 0.5, 1e15 + 1])

    assert values == [0, 0.5, 1]


JANUARY, DECEMBER = datetime.datetime(2013, 1, 1), datetime.datetime(2013, 12, 31, 23, 59)
PARTS = ["x", "x__month", "x__day", "x__weekday", "x__hour", "x__minute"]


def seconds(moment: datetime.datetime) -> float:
    return moment.replace(tzinfo=datetime.UTC).timestamp()


def test_times_become_a_trend_and_calendar_parts():
    scaling = scale(seconds(JANUARY), seconds(DECEMBER), kind="timestamp", fill=seconds(JANUARY), indicator=True)

    columns = transformed(scaling, pa.array([JANUARY, DECEMBER, None]))

    found = dict(zip(scaling.names(), columns, strict=True))
    assert list(found) == [*PARTS, "x__missing"]
    assert found["x"] == [0, 1, 0]
    assert found["x__month"] == found["x__day"] == found["x__hour"] == found["x__minute"] == [0, 1, 0]
    assert found["x__weekday"] == [np.float32(1 / 6), np.float32(1 / 6), 0]  # both are Tuesdays
    assert found["x__missing"] == [0, 0, 1]


def test_dates_have_no_clock():
    scaling = scale(0, seconds(JANUARY), kind="date")

    columns = transformed(scaling, pa.array([JANUARY.date()]))

    assert scaling.names() == PARTS[:4]
    assert [column[0] for column in columns] == [1, 0, 0, np.float32(1 / 6)]


def test_times_count_in_utc_whatever_their_zone():
    scaling = scale(seconds(JANUARY), seconds(DECEMBER), kind="timestamp")
    plain = pa.array([JANUARY, DECEMBER], pa.timestamp("us"))
    zoned = plain.cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us", "Asia/Tokyo"))

    assert transformed(scaling, zoned) == transformed(scaling, plain)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_are_the_same_in_every_unit(unit: str):
    scaling = scale(seconds(JANUARY), seconds(DECEMBER), kind="timestamp")
    moments = [JANUARY, datetime.datetime(2013, 6, 5, 4, 3)]

    assert transformed(scaling, pa.array(moments, pa.timestamp(unit))) == transformed(scaling, pa.array(moments))


def test_nanoseconds_and_the_year_9999_are_no_trouble():
    scaling = scale(0.0, seconds(datetime.datetime(9999, 12, 31)), kind="timestamp")

    assert transformed(scaling, pa.array([1], pa.timestamp("ns")))[0] == [0]
    assert transformed(scaling, pa.array([datetime.datetime(9999, 12, 31)]))[0] == [1]


def test_categories_have_codes_in_the_order_of_their_values():
    codes = CategoryCodes(name="x", values=("blue", "green", "red"))

    found = codes.transform(pa.array(["red", "blue", None, "pink", "green"]), lambda name, row: name)

    assert found.to_pylist() == [4, 2, MISSING, UNSEEN, 3]
    assert found.type == pa.int32()


def test_labels_become_class_codes():
    label = LabelScale(column=Column(name="y", kind="category"), classes=("no", "yes"), mean=0, deviation=1)

    assert label.transform(pa.array(["yes", "no"]), subject).to_pylist() == [1, 0]
    with pytest.raises(DataError, match=r"here: column y, row 1: found 'maybe', expected one of \['no', 'yes'\]"):
        label.transform(pa.array(["yes", "maybe"]), subject)


def test_a_class_that_the_type_of_some_rows_has_no_room_for_is_not_among_them():
    label = LabelScale(column=Column(name="y", kind="number"), classes=(0, 7, 300), mean=0, deviation=1)

    assert label.transform(pa.array([7, 0], pa.int8()), subject).to_pylist() == [1, 0]
    assert label.transform(pa.array([300, 0], pa.int16()), subject).to_pylist() == [2, 0]
    with pytest.raises(DataError, match=r"row 0: found 44, expected one of \[0, 7, 300\]"):
        label.transform(pa.array([44], pa.uint8()), subject)


def test_a_label_with_a_fraction_is_no_whole_class():
    label = LabelScale(column=Column(name="y", kind="number"), classes=(0, 1), mean=0, deviation=1)

    assert label.transform(pa.array([1.0, 0.0]), subject).to_pylist() == [1, 0]
    with pytest.raises(DataError, match=r"row 1: found 0\.5, expected one of \[0, 1\]"):
        label.transform(pa.array([1.0, 0.5]), subject)


def test_a_number_to_predict_is_standardised():
    label = LabelScale(column=Column(name="y", kind="number"), classes=(), mean=100.0, deviation=4.0)

    assert label.transform(pa.array([100, 104, 92]), subject).to_pylist() == [0, 1, -2]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.0, math.inf], "row 1: found inf, expected a finite number"),
        ([-math.inf], "row 0: found -inf, expected a finite number"),
        ([1, 2**53 + 1], "row 1: found 9007199254740993, expected at most 2\\^53"),
        ([None, -(2**60)], "row 1: found -1152921504606846976, expected at most 2\\^53"),
        (pa.array([2**64 - 1], pa.uint64()), "row 0: found 18446744073709551615, expected at most 2\\^53"),
    ],
)
def test_a_number_that_no_float_holds_is_named_with_its_row(values: Any, message: str):
    with pytest.raises(DataError, match=f"here: column x, {message}"):
        transformed(scale(), values)


def test_a_time_that_microseconds_cannot_hold_is_named():
    with pytest.raises(DataError, match=r"here: column x, row 0 or below: .*out of bounds"):
        transformed(scale(kind="timestamp"), pa.array([2**62], pa.timestamp("s")))


@pytest.mark.parametrize("classes", [(False, True), (0, 1), (0.0, 1.0), ("0", "1"), (1, 2, 3), (1.0, 2.5), (0, 2**62)])
def test_an_encoder_comes_back_from_its_file_with_the_types_of_its_classes(classes: tuple[Any, ...]):
    column = Column(name="y", kind="number")
    encoder = Encoder(
        schema=Schema(features=(column,), label=column, task="binary", classes=classes),
        numbers=(scale(0.1, 1 / 3, fill=5e-324),),
        categories=(CategoryCodes(name="c", values=("", "NA", "ü\n")),),
        label=LabelScale(column=column, classes=classes, mean=0.1 + 0.2, deviation=1e-300),
    )

    again = from_json(Encoder, to_json(encoder), "scaler.json")

    assert again == encoder
    assert [type(value) for value in again.label.classes] == [type(value) for value in classes]
    assert to_json(again) == to_json(encoder)
