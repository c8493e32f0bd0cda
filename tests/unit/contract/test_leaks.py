"""A column that predicts the label almost perfectly by itself is named, and used all the same."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.unit.stages import loaded, write
from unbroken.contract.leaks import AUROC, R2, SKILL, Leak, find_leaks
from unbroken.data.schema import Column, Schema

ROWS = 2000
DRAW = np.random.default_rng(0)
X = DRAW.standard_normal(ROWS)
BINARY = (X + DRAW.standard_normal(ROWS) > 0).astype(np.int8)
CLASSES = np.array(["low", "middle", "high", "top"])[np.digitize(X + DRAW.standard_normal(ROWS), [-1, 0, 1])]
SIGNED = X + DRAW.standard_normal(ROWS)
VALUES = np.exp(3 * X + DRAW.standard_normal(ROWS))


def leaks_of(column: Any, label: Any, task: Any, kind: str = "number", label_kind: str = "number") -> list[Leak]:
    """Judge one column beside one that carries some of the label, as one should."""
    classes = () if task == "regression" else tuple(sorted(set(np.asarray(label).tolist())))
    features = (Column(name="x", kind="number"), Column(name="y", kind=kind))
    schema = Schema(features=features, label=Column(name="label", kind=label_kind), task=task, classes=classes)
    return find_leaks(pa.table({"x": X, "y": column, "label": label}), schema)


@pytest.mark.parametrize(
    ("column", "kind", "task", "label", "label_kind", "measure"),
    [
        (BINARY * 2.5, "number", "binary", BINARY, "number", AUROC),
        (np.where(BINARY == 1, X % 1, 2 + X % 1), "number", "binary", BINARY, "number", AUROC),
        (np.where(BINARY == 1, np.nan, X), "number", "binary", BINARY, "number", AUROC),
        (np.where(BINARY == 1, "j", "n"), "category", "binary", BINARY, "number", AUROC),
        (pa.array(CLASSES), "category", "multiclass", CLASSES, "category", SKILL),
        (VALUES * 100 + 7, "number", "regression", VALUES, "number", R2),
        (SIGNED, "number", "regression", np.abs(SIGNED), "number", R2),
    ],
)
def test_a_copy_of_the_label_is_named_whatever_it_is_written_as(column, kind, task, label, label_kind, measure):
    leaks = leaks_of(column, label, task, kind, label_kind)

    assert [(leak.column, leak.measure) for leak in leaks] == [("y", measure)]
    assert all(leak.value > 0.99 for leak in leaks)


@pytest.mark.parametrize(
    ("label", "task", "label_kind"),
    [(BINARY, "binary", "number"), (CLASSES, "multiclass", "category"), (VALUES, "regression", "number")],
)
@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (np.arange(ROWS), "number"),
        (DRAW.standard_normal(ROWS), "number"),
        (pa.array([f"name {row}" for row in range(ROWS)]), "category"),
        (pa.array(["a", "b"] * (ROWS // 2)), "category"),
        (pa.nulls(ROWS), "number"),
    ],
)
def test_values_that_hardly_come_twice_are_no_leak(column, kind, label, task, label_kind):
    assert leaks_of(column, label, task, kind, label_kind) == []


def test_row_numbers_of_a_table_sorted_by_its_label_are_named():
    assert [leak.column for leak in leaks_of(np.arange(ROWS), np.sort(BINARY), "binary")] == ["y"]


def test_of_few_rows_and_of_rare_classes_nothing_is_said():
    rare = np.zeros(ROWS, np.int8)
    rare[:5] = 1
    few = Schema(
        features=(Column(name="x", kind="number"),),
        label=Column(name="label", kind="number"),
        task="binary",
        classes=(0, 1),
    )

    assert leaks_of(rare, rare, "binary") == []
    assert find_leaks(pa.table({"x": BINARY[:100], "label": BINARY[:100]}), few) == []


def test_it_is_said_in_one_line_with_the_way_out_and_the_column_still_trains(tmp_path: Path, caplog):
    source = write(tmp_path / "a.parquet", {"x": X, "paid\x1b": BINARY * 3, "label": BINARY})

    schema = loaded(source, tmp_path).schema

    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert said == [
        f"{source}: column 'paid\\x1b' alone predicts the label almost perfectly: AUROC 1.0000. "
        "If it is not known before the label is, leave it out: data.exclude names it"
    ]
    assert [column.name for column in schema.features] == ["x", "paid\x1b"]
    assert len(loaded(source, tmp_path, exclude=("paid\x1b",)).schema.features) == 1


def test_it_costs_little_of_many_rows_and_columns():
    rows, columns = 60_000, 40
    table = {f"x{column}": DRAW.standard_normal(rows) for column in range(columns)} | {"label": DRAW.random(rows)}
    features = tuple(Column(name=f"x{column}", kind="number") for column in range(columns))
    schema = Schema(features=features, label=Column(name="label", kind="number"), task="regression", classes=())

    started = time.process_time()
    leaks = find_leaks(pa.table(table), schema)

    assert leaks == []
    assert time.process_time() - started < 4
