"""The catalogue of bad input: each is refused before training starts, by name and value, and leaves the disk as it was."""

import datetime
import gzip
import hashlib
import math
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe
import pytest
from torch.optim.optimizer import register_optimizer_step_pre_hook

from flows.terminal import parse
from tests.unit.stages import HALVES, hundred, write
from unbroken.config import (
    CheckpointConfig,
    Config,
    DataConfig,
    ModelConfig,
    PreprocessConfig,
    SplitConfig,
    StartConfig,
    TrainingConfig,
)
from unbroken.engine import train
from unbroken.errors import UnbrokenError
from unbroken.load_data import load_data
from unbroken.preprocess import preprocess
from unbroken.run import open_run
from unbroken.split import split_dataset

ROOT = Path(__file__).parents[2]
ROWS = [float(row) for row in range(100)]
GOOD = hundred(ROWS)
CSV = "x,label\n" + "".join(f"{row},{row % 2}\n" for row in range(100))

Source = Callable[[Path], str | Path]
Sections = Callable[[], dict[str, Any]]


@dataclass(frozen=True)
class Case:
    """A source, the settings beside it (made late, since making them may fail), and what the message must say."""

    source: Source
    says: tuple[str, ...]
    sections: Sections = dict
    data: dict[str, Any] = field(default_factory=dict)


def table(columns: dict[str, Any] | pa.Table, **options: Any) -> Source:
    return lambda folder: write(folder / "in/a.parquet", columns, **options)


def tables(*each: dict[str, Any]) -> Source:
    def make(folder: Path) -> Path:
        for number, columns in enumerate(each, start=1):
            write(folder / f"in/{number}.parquet", columns)
        return folder / "in"

    return make


def content(name: str, made: bytes | str) -> Source:
    def make(folder: Path) -> Path:
        path = folder / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(made if isinstance(made, bytes) else made.encode())
        return path

    return make


def text(source: str) -> Source:
    return lambda _: source


def damaged(change: Callable[[bytearray], bytes | bytearray]) -> Source:
    def make(folder: Path) -> Path:
        path = Path(write(folder / "in/a.parquet", GOOD, write_page_checksum=True, compression="none"))
        path.write_bytes(change(bytearray(path.read_bytes())))
        return path

    return make


def flipped(whole: bytearray) -> bytearray:
    whole[60] ^= 4
    return whole


def encrypted(*, plain_footer: bool) -> Source:
    class Wrap(pe.KmsClient):
        def wrap_key(self, key_bytes: bytes, _: str) -> bytes:
            return key_bytes.hex().encode()

        def unwrap_key(self, wrapped_key: bytes, _: str) -> bytes:
            return bytes.fromhex(wrapped_key.decode())

    def make(folder: Path) -> Path:
        path = folder / "in/a.parquet"
        path.parent.mkdir(parents=True)
        settings = pe.EncryptionConfiguration("key", column_keys={"key": ["x"]}, plaintext_footer=plain_footer)
        properties = pe.CryptoFactory(lambda _: Wrap()).file_encryption_properties(pe.KmsConnectionConfig(), settings)
        with pq.ParquetWriter(path, pa.table(GOOD).schema, encryption_properties=properties) as writer:
            writer.write_table(pa.table(GOOD))
        return path

    return make


def mixed_formats(folder: Path) -> Path:
    content("b.csv", CSV)(folder)
    table(GOOD)(folder)
    return folder / "in"


def two_tables_of_text(folder: Path) -> Path:
    content("a.csv", CSV)(folder)
    content("b.csv", "x,label\nmany,0\nfew,1\n")(folder)
    return folder / "in"


def mixed_layouts(folder: Path) -> Path:
    write(folder / "in/year=2013/a.parquet", GOOD)
    write(folder / "in/month=1/a.parquet", GOOD)
    return folder / "in"


def empty_folder(folder: Path) -> Path:
    (folder / "in").mkdir()
    return folder / "in"


def dangling(folder: Path) -> Path:
    empty_folder(folder)
    (folder / "in/a.parquet").symlink_to(folder / "nowhere.parquet")
    return folder / "in"


def with_label(label: Any) -> Source:
    return table({"x": ROWS[: len(label)], "label": label})


def training(batch_size: Any = 10, **options: Any) -> Sections:
    return lambda: {"training": TrainingConfig(batch_size=batch_size, **options)}


def scaling(**options: Any) -> Sections:
    return lambda: {"preprocess": PreprocessConfig(**options)}


def checkpoint(**options: Any) -> Sections:
    return lambda: {"checkpoint": CheckpointConfig(**options)}


def start(**options: Any) -> Sections:
    return lambda: {"start": StartConfig(**options)}


def split(**options: Any) -> Sections:
    return lambda: {"split": SplitConfig(**options)}


def model(factory: str, **options: Any) -> Sections:
    return lambda: {"model": ModelConfig(factory=factory, options=options), "training": TrainingConfig(batch_size=10)}


def good(sections: Sections, *says: str) -> Case:
    """Return a case of good data, whose settings are bad."""
    return Case(table(GOOD), says, sections)


def data(says: str | tuple[str, ...], source: Source = table(GOOD), **options: Any) -> Case:  # noqa: B008 (a function)
    """Return a case of a source and the `data` settings."""
    return Case(source, (says,) if isinstance(says, str) else says, data=options)


FILES = {
    "a file that is not there": data("nowhere.parquet: no such file", lambda folder: folder / "nowhere.parquet"),
    "a folder without data": data("found no file that ends in .parquet", empty_folder),
    "a glob without a match": data("no data there", lambda folder: folder / "in/*.parquet"),
    "an unknown ending": data(("notes.txt", "unknown kind of file"), content("notes.txt", "x")),
    "a file of the system": data("/etc/passwd: unknown kind of file", text("/etc/passwd")),
    "a way out of the folder": data("no such file", lambda folder: folder / "in/../../../nowhere.csv"),
    "a link to nothing": data(("a.parquet: cannot be read", "No such file"), dangling),
    "Parquet and CSV together": data("found csv and parquet files; expected one format", mixed_formats),
    "two partition layouts": data(("partitioned by ('month',)", "('year',)"), mixed_layouts),
    "an empty Parquet file": data(("a.parquet", "cannot be read", "0 bytes"), content("a.parquet", b"")),
    "a Parquet file cut in half": data(
        ("a.parquet", "cannot be read"), damaged(lambda whole: whole[: len(whole) // 2])
    ),
    "a Parquet file without its end": data(("a.parquet", "cannot be read"), damaged(lambda whole: whole[:-1])),
    "another kind of file by a Parquet name": data(
        ("a.parquet", "magic bytes"), content("a.parquet", b"PK\x03\x04 a zip file, say")
    ),
    "a Parquet file with a broken footer": data(
        ("a.parquet", "cannot be read"), damaged(lambda whole: whole[:-40] + b"\xff" * 30 + whole[-10:])
    ),
    "a flipped bit in a page": data(("a.parquet: row group 0", "CRC"), damaged(flipped)),
    "an encrypted Parquet file": data(("a.parquet", "cannot be read", "crypt"), encrypted(plain_footer=False)),
    "an encrypted column": data(("a.parquet", "crypt"), encrypted(plain_footer=True)),
    "a Parquet file of no rows": data("found 0 rows", table({"x": [], "label": []})),
    "a Parquet file of no columns": data("found 0 rows", table(pa.table({}))),
    "a CSV file of nothing": data(("a.csv", "cannot be read"), content("a.csv", "")),
    "a CSV file of a header alone": data("found 0 rows", content("a.csv", "x,label\n")),
    "a CSV file of one column": data("no feature is left", content("a.csv", "label\n0\n1\n")),
    "a CSV file with ragged rows": data(
        ("a.csv", "Expected 2 columns, got 3: 7,8,9"), content("a.csv", CSV + "7,8,9\n")
    ),
    "a CSV file with a short row": data(("a.csv", "Expected 2 columns, got 1: 7"), content("a.csv", CSV + "7\n")),
    "a CSV file in Latin-1": data(
        ("a.csv: column x", "not UTF-8"), content("a.csv", ("x,label\n" + "käse,0\nbröt,1\n" * 20).encode("latin-1"))
    ),
    "a CSV file in UTF-16": data("a.csv", content("a.csv", CSV.encode("utf-16"))),
    "a CSV file with a header in Latin-1": data(
        "a.csv", content("a.csv", CSV.replace("x,", "größe,").encode("latin-1"))
    ),
    "a CSV file with a column twice": data(
        ("column x: found it 2 times", "expected once"), content("a.csv", "x,x,label\n" + "1,2,0\n3,4,1\n" * 9)
    ),
    "a CSV file whose numbers end in text": data(
        ("b.csv", "column x: found category (string), expected number", "a.csv"),
        two_tables_of_text,
    ),
    "a gzip file that is none": data(("a.csv.gz", "cannot be read"), content("a.csv.gz", CSV)),
    "a gzip file cut in half": data(
        ("a.csv.gz", "cannot be read"), content("a.csv.gz", gzip.compress(CSV.encode())[:100])
    ),
    "a gzip file with a flipped bit": data(
        ("a.csv.gz", "cannot be read"), content("a.csv.gz", gzip.compress(CSV.encode())[:-8] + b"\0" * 8)
    ),
}

URLS = {
    "a scheme that no one knows": data(("gopher://host/a.csv", "cannot be opened"), text("gopher://host/a.csv")),
    "a scheme whose package is missing": data(("gs://bucket/a.parquet", "gcsfs"), text("gs://bucket/a.parquet")),
    "a file URL to nowhere": data("no such file or folder", text("file:///nowhere/a.parquet")),
    "a file URL with a host": data("no such file or folder", text("file://host/share/a.parquet")),
    "a file URL out of its folder": data("unknown kind of file", text("file:///tmp/../etc/passwd")),
    "a password in a URL": data("data.source: found credentials", text("s3://user:password@bucket/a.parquet")),
    "a user in a URL": data("data.source: found credentials", text("sftp://user@host/a.parquet")),
    "a key in the query of a URL": data(
        "data.source: found credentials or a query", text("https://host/a.csv?key=abc")
    ),
    "a chained URL": data("data.source: found 'simplecache::file:///a.csv'", text("simplecache::file:///a.csv")),
    "an archive in a URL": data("without ::", text("zip://a.csv::file:///b.zip")),
    "a memory that holds nothing": data("no such file", text("memory://empty/a.parquet")),
    "no source": data("data.source: found ''", text("")),
    "a source of spaces": data("data.source: found '  '", text("  ")),
    "a source with a null character": data("null character", text("a\0.parquet")),
}

NESTED = {"a list": [[1]] * 100, "a struct": [{"a": 1}] * 100, "bytes": [b"a"] * 100}

COLUMNS = {
    **{
        f"{name} as a feature": data(("a.parquet: column x: found type", "data.exclude"), table(hundred(values)))
        for name, values in NESTED.items()
    },
    "a map as a feature": data(
        "found type map", table(hundred(pa.array([[("a", 1)]] * 100, pa.map_(pa.string(), pa.int8()))))
    ),
    "a time of day as a feature": data("found type time64", table(hundred([datetime.time(12)] * 100))),
    "a duration as a feature": data("found type duration", table(hundred([datetime.timedelta(1)] * 100))),
    "a label that is not there": data(("no column price", "found row, x, label"), label="price"),
    "a feature that is not there": data("a.parquet: no column price", include=("x", "price")),
    "an excluded column that is not there": data("a.parquet: no column price", exclude=("price",)),
    "a category that is not there": data("a.parquet: no column price", categories=("price",)),
    "a column of another case": data("a.parquet: no column X", include=("X",)),
    "no feature left": data("no feature is left; found the label label", exclude=("row", "x")),
    "a float as a category": data(("column x: found type double", "data.categories"), categories=("x",)),
    "a date as a category": data(
        "column x: found type date32", table(hundred([datetime.date(2020, 1, 1)] * 100)), categories=("x",)
    ),
    "a column twice in a Parquet file": data(
        "column x: found it 2 times", table(pa.table([ROWS, ROWS, HALVES], names=["x", "x", "label"]))
    ),
    "a column missing in the second file": data(
        ("2.parquet: column x: found it 0 times", "1.parquet"), tables(GOOD, {"row": ROWS, "label": HALVES})
    ),
    "a label missing in the second file": data(
        "2.parquet: column label: found it 0 times", tables(GOOD, {"row": ROWS, "x": ROWS})
    ),
    "text where the first file has numbers": data(
        ("2.parquet: column x: found category (string), expected number as in", "1.parquet"),
        tables(GOOD, hundred(["a"] * 100)),
    ),
    "numbers where the first file has dates": data(
        "2.parquet: column x: found number", tables(hundred([datetime.date(2020, 1, 1)] * 100), GOOD)
    ),
    "a list where the first file has numbers": data(
        "2.parquet: column x: found type list", tables(GOOD, hundred([[1]] * 100))
    ),
    "booleans where the first file has a label of integers": data(
        "2.parquet: column label: found boolean", tables(GOOD, hundred(ROWS, [True, False] * 50))
    ),
    "a column of nulls without a type": data("column x: found no value in any file", table(hundred(pa.nulls(100)))),
    "a number column of nulls": data(
        ("a.parquet: column x: found no value in any training row", "data.exclude"),
        table(hundred(pa.nulls(100, pa.float64()))),
    ),
    "a column of NaN": data("column x: found no value in any training row", table(hundred([math.nan] * 100))),
    "a text column of nulls": data("data.exclude", table(hundred(pa.nulls(100, pa.string())))),
    "a date column of nulls": data("data.exclude", table(hundred(pa.nulls(100, pa.date32())))),
    "a name that a derived column needs": data(
        "column x__missing: the name is needed", table({"x": [None, *ROWS[1:]], "x__missing": ROWS, "label": HALVES})
    ),
}


def one_value(place: int, value: Any, type: pa.DataType | None = None) -> Source:
    """Return a table whose column x is harmless but for one value."""
    values: list[Any] = [0, 1] * 50
    values[place] = value
    return table(hundred(pa.array(values, type)), row_group_size=30)


VALUES = {
    "an infinity": data("a.parquet: column x, row 77: found inf, expected a finite", one_value(77, math.inf)),
    "a negative infinity": data("column x, row 3: found -inf", one_value(3, -math.inf)),
    "an infinity of 32 bits": data("row 3: found inf", one_value(3, math.inf, pa.float32())),
    "an integer beyond 2^53": data(
        "column x, row 60: found 9007199254740993, expected at most 2^53", one_value(60, 2**53 + 1)
    ),
    "a negative integer beyond 2^53": data("row 5: found -9007199254740993", one_value(5, -(2**53) - 1)),
    "the largest unsigned integer": data("found 18446744073709551615", one_value(5, 2**64 - 1, pa.uint64())),
    "a time out of range": data("column x, row 0 or below", one_value(5, 2**62, pa.timestamp("ms"))),
    "an infinity in the second file": data(
        "2.parquet: column x, row 99: found inf", tables(GOOD, hundred([*ROWS[:-1], math.inf]))
    ),
    "an infinity in a CSV file": data("found inf", content("a.csv", CSV + "inf,1\n")),
    "a huge integer in a CSV file": data("found 9223372036854775807", content("a.csv", CSV + f"{2**63 - 1},1\n")),
}

LABELS = {
    "a label with a null": data(
        "a.parquet: column label, row 41: found None", with_label([0] * 41 + [None] + [1] * 58)
    ),
    "a label with NaN": data("column label, row 41: found nan", with_label([0.0] * 41 + [math.nan] + [1.0] * 58)),
    "a label with an infinity": data(
        "column label, row 41: found inf", with_label([0.5] * 41 + [math.inf] + [1.0] * 58)
    ),
    "a text label with a null": data("row 2: found None", with_label(["a", "b", None] + ["a"] * 97)),
    "a label of nulls": data("column label: found no value in any file", with_label(pa.nulls(100))),
    "a typed label of nulls": data("row 0: found None", with_label(pa.nulls(100, pa.int64()))),
    "a label with one class": data("label label: found only the value 1", with_label([1] * 100)),
    "a text label with one class": data("found only the value 'a'", with_label(["a"] * 100)),
    "a constant to predict": data("found only the value 2.5", with_label([2.5] * 100), task="regression"),
    "one row": data("found only the value 0", with_label([0])),
    "dates to predict": data("label label: found a date", with_label([datetime.date(2020, 1, 1)] * 100)),
    "times to predict": data("label label: found a timestamp", with_label([datetime.datetime(2020, 1, 1)] * 100)),
    "lists to predict": data(("column label: found type list", "data.label"), with_label([[1]] * 100)),
    "bytes to predict": data("column label: found type binary", with_label([b"1"] * 100)),
    "more texts than classes": data(
        "more than 1000 distinct", table({"x": range(2000), "label": [f"text {row}" for row in range(2000)]})
    ),
    "text for a regression": data("found text, expected numbers", with_label(["a", "b"] * 50), task="regression"),
    "three classes for two": data(
        "found 3 distinct values, expected 2", with_label([row % 3 for row in range(99)]), task="binary"
    ),
    "too many numbers for classes": data(
        "more than 1000 distinct values", table({"x": range(2000), "label": range(2000)}), task="multiclass"
    ),
    "a label beyond 64 bits": data(
        "row 1: found 18446744073709551615", with_label(pa.array([0, 2**64 - 1], pa.uint64()))
    ),
    "a number to predict beyond 2^53": data(
        "column label, row 99: found 9007199254740993", with_label([*range(99), 2**53 + 1])
    ),
    "a number to predict too large to square": data(
        "too large to be squared", with_label([row * 1e300 for row in ROWS])
    ),
    "decimals with a null": data("found None", with_label(pa.array([Decimal(1), None] * 50, pa.decimal128(5, 2)))),
    "a class that is in no training row": Case(
        with_label([0] * 90 + [1] * 10), ("class 1 is in no training row", "stratified"), split(kind="time", column="x")
    ),
    "a class of the test rows alone": Case(
        with_label(["a", "b"] * 45 + ["c"] * 10), ("class 'c' is in no training row",), split(kind="time", column="x")
    ),
}

SMALL = table({"x": [1.0, 2.0, 3.0], "label": [0, 1, 0]})

SPLITS = {
    "no test row": Case(
        SMALL, ("3 rows in all give 3 to train", "0 to test", "split.test_fraction"), split(test_fraction=0.1)
    ),
    "no training row": Case(SMALL, ("give 0 to train",), split(test_fraction=0.9)),
    "no validation row": Case(SMALL, ("0 to validate",), split(test_fraction=0.4, validation_fraction=0.1)),
    "fractions of everything": good(split(test_fraction=0.5, validation_fraction=0.5), "found 1.0, expected below 1"),
    "a test fraction of 0": good(split(test_fraction=0.0), "split.test_fraction: found 0.0"),
    "a test fraction of 1": good(split(test_fraction=1.0), "split.test_fraction: found 1.0"),
    "a test fraction that is no number": good(split(test_fraction=math.nan), "split.test_fraction: found nan"),
    "a negative validation fraction": good(split(validation_fraction=-0.1), "split.validation_fraction: found -0.1"),
    "an unknown kind of split": good(split(kind="rolling"), "split.kind: found 'rolling', expected 'random'"),
    "groups without a column": good(split(kind="group"), "split.column: found None"),
    "a random split with a column": good(split(column="x"), "split.column: found 'x'"),
    "a group column that is not there": good(split(kind="group", column="who"), "a.parquet: no column who"),
    "a time column that is not there": good(split(kind="time", column="when"), "a.parquet: no column when"),
    "one group": Case(
        table(hundred(["a"] * 100)), ("split.kind group: found no row",), split(kind="group", column="x")
    ),
    "a group without a name": Case(
        table(hundred(["a"] * 50 + [None] + ["b"] * 49)),
        ("column x, row 50: found no value",),
        split(kind="group", column="x"),
    ),
    "a time without a value": Case(
        table(hundred([*ROWS[:7], None, *ROWS[8:]])),
        ("column x, row 7: found no value",),
        split(kind="time", column="x"),
    ),
    "texts for times": Case(
        table(hundred(["2020"] * 100)), ("split.column x: found type string",), split(kind="time", column="x")
    ),
    "groups of two types": Case(
        tables({**GOOD, "g": ROWS}, {**GOOD, "g": ["a"] * 100}),
        ("2.parquet: column g, row 0: found type string, expected double",),
        lambda: {"split": SplitConfig(kind="group", column="g")},
        {"exclude": ("g",), "label": "label"},
    ),
    "strata of a number to predict": Case(with_label(ROWS), ("has no classes; use random",), split(kind="stratified")),
}

SETTINGS = {
    "no epochs": good(training(epochs=0), "training.epochs: found 0, expected at least 1"),
    "epochs in text": good(training(epochs="5"), "training.epochs: found '5'"),
    "half an epoch": good(training(epochs=2.5), "training.epochs: found 2.5"),
    "no batch": good(training(batch_size=0), "training.batch_size: found 0"),
    "a batch larger than the rows": good(training(batch_size=81), "training.batch_size: found 81, expected at most 80"),
    "a learning rate of 0": good(training(learning_rate=0.0), "training.learning_rate: found 0.0"),
    "a negative learning rate": good(training(learning_rate=-1.0), "training.learning_rate: found -1.0"),
    "a learning rate of NaN": good(training(learning_rate=math.nan), "training.learning_rate: found nan"),
    "an infinite learning rate": good(training(learning_rate=math.inf), "training.learning_rate: found inf"),
    "a learning rate among the options": good(
        training(optimizer_options={"lr": 1}), "training.optimizer_options: found {'lr': 1}"
    ),
    "an unknown optimizer": good(
        training(optimizer="Adamm"), "training.optimizer: found 'Adamm', expected one of", "AdamW"
    ),
    "an optimizer that is a module": good(
        training(optimizer="lr_scheduler"), "training.optimizer: found 'lr_scheduler'"
    ),
    "an optimizer that needs a closure": good(training(optimizer="LBFGS"), "training.optimizer: found 'LBFGS'"),
    "an optimizer for sparse gradients": good(
        training(optimizer="SparseAdam"), "training.optimizer: found 'SparseAdam'"
    ),
    "an unknown option of the optimizer": good(
        training(optimizer_options={"speed": 1}), "training.optimizer Adam", "speed"
    ),
    "an option of the optimizer out of range": good(training(optimizer_options={"betas": (2.0, 0.9)}), "beta", "2.0"),
    "options of the optimizer that are a list": good(
        training(optimizer_options=[1]), "training.optimizer_options: found [1]"
    ),
    "an unknown scheduler": good(
        training(scheduler="Warm"), "training.scheduler: found 'Warm', expected one of", "StepLR"
    ),
    "a scheduler without what it needs": good(training(scheduler="StepLR"), "training.scheduler StepLR", "step_size"),
    "an unknown option of the scheduler": good(
        training(scheduler="StepLR", scheduler_options={"step_size": 1, "speed": 2}),
        "training.scheduler StepLR",
        "speed",
    ),
    "an unknown device": good(training(device="abacus"), "training.device: found 'abacus'"),
    "a device that is not here": good(training(device="cuda:77"), "training.device: found 'cuda:77'"),
    "no threads": good(training(threads=0), "training.threads: found 0"),
    "a million threads": good(training(threads=1_000_000), "training.threads: found 1000000, expected 1 .. 1024"),
    "a gradient clip of 0": good(training(gradient_clip=0.0), "training.gradient_clip: found 0.0"),
    "a patience of 0": good(training(patience=0), "training.patience: found 0"),
    "a negative min_delta": good(training(min_delta=-1.0), "training.min_delta: found -1.0"),
    "class weights of another length": good(training(class_weights=(1.0, 1.0, 1.0)), "found 3 weights, expected 2"),
    "a class weight of 0": good(training(class_weights=(0.0, 1.0)), "training.class_weights: found (0.0, 1.0)"),
    "a class weight of NaN": good(training(class_weights=(math.nan, 1.0)), "training.class_weights: found (nan, 1.0)"),
    "class weights in a word": good(training(class_weights="equal"), "training.class_weights: found 'equal'"),
    "class weights for a number": Case(
        with_label(ROWS), ("expected 'none' for regression",), training(class_weights="balanced")
    ),
    "a metric that no one knows": good(training(monitor="test_beauty"), "training.monitor: found 'test_beauty'"),
    "a metric of the training rows": good(training(monitor="train_loss"), "training.monitor: found 'train_loss'"),
    "a metric of another task": good(
        training(monitor="test_rmse"), "training.monitor: found 'test_rmse', expected one of"
    ),
    "a metric of no validation part": good(
        training(monitor="validation_loss"), "training.monitor: found 'validation_loss'"
    ),
    "a model that is not there": good(model("nowhere:build"), "model.factory: found no module 'nowhere'"),
    "a function that is not there": good(model("tests.unit.bad_models:nothing"), "model.factory", "nothing"),
    "a model that is no name": good(model("lambda x: x"), "model.factory: found 'lambda x: x'"),
    "a model by a path": good(model("../../etc/passwd:build"), "model.factory: found '../../etc/passwd:build'"),
    "a model without a function": good(model("tests.unit.bad_models"), "model.factory: found 'tests.unit.bad_models'"),
    "a factory that cannot be called": good(
        model("tests.unit.bad_models:NOT_CALLABLE"), "NOT_CALLABLE", "not callable"
    ),
    "a factory that takes nothing": good(model("tests.unit.bad_models:no_arguments"), "no_arguments", "takes 0"),
    "a factory that gives no module": good(
        model("tests.unit.bad_models:no_module"), "found dict, expected a torch.nn.Module"
    ),
    "a model of another shape": good(
        model("tests.unit.bad_models:wrong_shape"), "gives [2, 3], expected a tensor [2, 1]"
    ),
    "a model of one input": good(model("tests.unit.bad_models:one_input"), "one_input", "its model fails"),
    "a model of too many inputs": good(model("tests.unit.bad_models:too_wide"), "too_wide", "its model fails"),
    "a model of two outputs": good(model("tests.unit.bad_models:twofold"), "gives tuple"),
    "a model without weights": good(
        model("tests.unit.bad_models:no_parameters"), "training.optimizer Adam", "empty parameter list"
    ),
    "an unknown option of the model": good(model("mlp", depth=3), "model.factory mlp with options {'depth': 3}"),
    "a hidden layer of text": good(model("mlp", hidden=["wide"]), "model.factory mlp with options"),
    "a dropout of 2": good(model("mlp", dropout=2.0), "dropout probability", "2.0"),
    "a clip of everything": good(scaling(clip_quantile=0.5), "preprocess.clip_quantile: found 0.5"),
    "no category": good(scaling(max_categories=0), "preprocess.max_categories: found 0"),
    "one checkpoint kept": good(checkpoint(keep_last=1), "checkpoint.keep_last: found 1"),
    "a checkpoint every 0 steps": good(checkpoint(every_steps=0), "checkpoint.every_steps: found 0"),
    "a checkpoint every NaN seconds": good(checkpoint(every_seconds=math.nan), "checkpoint.every_seconds: found nan"),
    "the median epoch": good(checkpoint(publish="median"), "checkpoint.publish: found 'median'"),
    "a start from nothing": good(start(warm_from="nowhere.pth"), "start.warm_from: found no file nowhere.pth"),
    "the label among the features": data("data.include: found 'label'", label="label", include=("x", "label")),
    "the label left out": data("data.exclude: found 'label'", label="label", exclude=("label",)),
    "a column in and out": data("data.include and data.exclude: found ['x']", include=("x", "row"), exclude=("x",)),
    "a column in twice": data("data.include: found ['x']", include=("x", "x")),
    "a label without a name": data("data.label: found ''", label=""),
    "an unknown task": data("data.task: found 'ranking'", task="ranking"),
    "features in one text": data("data.include: found 'x'", include="x"),
}

FOLDERS = {
    "no runs folder": good(lambda: {"runs_folder": ""}, "runs_folder: found ''"),
    "a runs folder on the network": good(
        lambda: {"runs_folder": "s3://bucket/runs"}, "runs_folder: found 's3://bucket/runs'"
    ),
    "a runs folder in a file URL": good(
        lambda: {"runs_folder": "file:///tmp/runs"}, "runs_folder: found 'file:///tmp/runs'"
    ),
    "a runs folder with a null character": good(lambda: {"runs_folder": "a\0b"}, "null character"),
    "a runs folder inside a file": good(lambda: {"runs_folder": __file__ + "/runs"}, "test_bad_input.py is a file"),
    "a runs folder that is a file": good(lambda: {"runs_folder": __file__}, "test_bad_input.py is a file"),
}

CATALOGUE = FILES | URLS | COLUMNS | VALUES | LABELS | SPLITS | SETTINGS | FOLDERS


class TrainingStarted(BaseException):
    """A bad input got through to the first step."""


def begin(config: Config) -> None:
    """Run the stages up to the first step of the training, which is one too far."""

    def started(*_: Any) -> None:
        raise TrainingStarted

    hook = register_optimizer_step_pre_hook(started)
    try:
        run = open_run(config)
        dataset = load_data(config.data, run)
        preprocessed = preprocess(dataset, config.preprocess, config.split, run)
        splits = split_dataset(dataset, preprocessed.dataset, config.split, run)
        train(config, splits, preprocessed.scaler, run)
    finally:
        hook.remove()


def configured(case: Case, source: str, runs: Path) -> Config:
    sections: dict[str, Any] = {"runs_folder": str(runs), "data": DataConfig(source=source, **case.data)}
    return Config(**sections | case.sections())


def disk(folder: Path) -> dict[str, tuple[int, str]]:
    """Return every name below a folder with its mode and content, but for the mark of who trained a run last."""
    paths = [path for path in sorted(folder.rglob("*")) if not path.is_symlink()]
    return {str(path): (path.stat().st_mode, _digest(path)) for path in paths if path.name != "owner"}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


@pytest.mark.parametrize("name", CATALOGUE)
def test_bad_input_is_refused_by_name_before_training_and_leaves_the_disk_as_it_was(name: str, tmp_path: Path):
    case = CATALOGUE[name]
    source = str(case.source(tmp_path))
    (tmp_path / "runs").mkdir()
    before = disk(tmp_path)

    with pytest.raises(UnbrokenError) as refused:
        begin(configured(case, source, tmp_path / "runs"))

    message = str(refused.value)
    assert [part for part in case.says if part not in message] == [], message
    assert "password" not in message
    assert disk(tmp_path) == before


def test_the_data_of_the_catalogue_is_good_where_it_should_be(tmp_path: Path):
    config = Config(
        data=DataConfig(source=str(table(GOOD)(tmp_path))),
        training=TrainingConfig(batch_size=80),
        runs_folder=str(tmp_path / "runs"),
    )

    with pytest.raises(TrainingStarted):
        begin(config)


def test_a_run_that_exists_is_left_as_it_is(tmp_path: Path):
    """Fewer epochs than are done: the run, its checkpoints and its journal stay."""
    config = Config(
        data=DataConfig(source=str(table(GOOD)(tmp_path))),
        training=TrainingConfig(batch_size=40, epochs=2),
        runs_folder=str(tmp_path / "runs"),
    )
    run = open_run(config)
    dataset = load_data(config.data, run)
    preprocessed = preprocess(dataset, config.preprocess, config.split, run)
    splits = split_dataset(dataset, preprocessed.dataset, config.split, run)
    train(config, splits, preprocessed.scaler, run)
    before = disk(tmp_path)

    with pytest.raises(UnbrokenError, match=r"training\.epochs: found 1, but 2 are done in .*/runs/"):
        begin(
            Config(data=config.data, training=TrainingConfig(batch_size=40, epochs=1), runs_folder=config.runs_folder)
        )

    assert disk(tmp_path) == before


def test_a_runs_folder_that_cannot_be_written_is_refused(tmp_path: Path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    as_root = os.geteuid() == 0
    if as_root:
        os.seteuid(65534)  # root may write anywhere
    try:
        with pytest.raises(UnbrokenError, match=r"runs_folder: found .*, but .* is not writable"):
            open_run(Config(data=DataConfig(source="sample"), runs_folder=str(closed / "runs")))
    finally:
        if as_root:
            os.seteuid(0)


def toml(content: str | bytes) -> Callable[[Path], list[str]]:
    def make(folder: Path) -> list[str]:
        (folder / "run.toml").write_bytes(content if isinstance(content, bytes) else content.encode())
        return ["--config", str(folder / "run.toml")]

    return make


def line(*words: str) -> Callable[[Path], list[str]]:
    return lambda _: list(words)


COMMANDS: dict[str, tuple[Callable[[Path], list[str]], tuple[str, ...]]] = {
    "text for a number": (line("--training.epochs", "many"), ("training.epochs: found 'many', expected int",)),
    "a fraction for a whole number": (
        line("--training.epochs", "2.5"),
        ("training.epochs: found '2.5', expected int",),
    ),
    "nothing for a number": (line("--training.epochs"), ("--training.epochs", "expected one argument")),
    "an unknown setting": (line("--training.speed", "9"), ("--training.speed",)),
    "an unknown group": (line("--magic.speed", "9"), ("--magic.speed",)),
    "a shortened name": (line("--training.epoch", "9"), ("--training.epoch",)),
    "a word too many": (line("flights"), ("flights",)),
    "a kind of split that is none": (line("--split.kind", "rolling"), ("split.kind: found 'rolling'", "'group'")),
    "perhaps for yes or no": (
        line("--checkpoint.wait", "perhaps"),
        ("checkpoint.wait: found 'perhaps', expected bool",),
    ),
    "a number for options": (line("--model.options", "5"), ("model.options: found '5', expected dict",)),
    "a learning rate of 0": (line("--training.learning_rate", "0"), ("training.learning_rate: found 0",)),
    "a text for a list": (line("--data.include", "x"), ("data.include: found 'x'",)),
    "a password": (line("--data.source", "s3://user:password@host/a.csv"), ("data.source: found credentials",)),
    "a TOML file that is not there": (line("--config", "nowhere.toml"), ("--config nowhere.toml", "No such file")),
    "a TOML file by an equals sign": (line("--config=nowhere.toml"), ("--config nowhere.toml", "No such file")),
    "a folder for a TOML file": (lambda folder: ["--config", str(folder)], ("Is a directory",)),
    "a TOML file with an error": (toml("[training\nepochs = 1"), ("run.toml", "line 1, column 10")),
    "a TOML file in another encoding": (toml(b"\xff\xfe"), ("run.toml", "utf-8")),
    "an unknown key in a TOML file": (toml("[training]\nepoch = 1"), ("run.toml", "'training'", "'epoch'")),
    "an unknown table in a TOML file": (toml("[magic]\nepoch = 1"), ("run.toml", "magic")),
    "a wrong type in a TOML file": (toml("[training]\nepochs = 'many'"), ("run.toml", "training.epochs: found 'many'")),
    "a wrong value in a TOML file": (
        toml("[training]\nepochs = 0"),
        ("training.epochs: found 0, expected at least 1",),
    ),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_bad_command_line_is_refused_in_one_line(name: str, tmp_path: Path):
    make, says = COMMANDS[name]

    with pytest.raises(UnbrokenError) as refused:
        parse(make(tmp_path), "train", "", Config)

    message = str(refused.value)
    assert [part for part in says if part not in message] == [], message
    assert "\n" not in message
    assert "password" not in message


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--training.epochs", "many"], "error: training.epochs: found 'many', expected int"),
        (["--data.source", "nowhere.parquet"], "nowhere.parquet: no such file or folder"),
    ],
)
def test_at_the_terminal_it_is_one_paragraph_and_exit_code_2(arguments: list[str], says: str, tmp_path: Path):
    command = [sys.executable, "-m", "flows.train", "--runs_folder", str(tmp_path / "runs"), *arguments]
    environment = os.environ | {"PREFECT_HOME": str(tmp_path / "prefect")}

    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert says in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert "usage" not in done.stderr
    assert not (tmp_path / "runs").exists()


def test_the_catalogue_is_as_long_as_it_claims():
    assert len(CATALOGUE) + len(COMMANDS) >= 180
