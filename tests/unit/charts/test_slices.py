"""Slices are cut as their names say, and the one that the model knows nothing of comes first."""

from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.unit.charts.tables import ROWS, table, trained
from unbroken.charts.scoring import Measured, measure
from unbroken.charts.slices import slices_of, worst
from unbroken.data.split import TEST
from unbroken.pipeline import prepare


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    _, run = trained(tmp_path_factory.mktemp("slices"), "binary", epochs=12)
    return measure(run.published, run.data / "test.parquet", None, "cpu")


def test_slices_have_the_rows_of_the_source_with_these_values(tmp_path: Path):
    columns = table("binary")
    config, run = trained(tmp_path, "binary", columns, epochs=1)
    parts = prepare(config, run).preprocessed.assignment.parts(0, ROWS)
    source = pq.read_table(tmp_path / "binary.parquet").filter(parts == TEST)
    measured = measure(run.published, run.data / "test.parquet", None, "cpu")

    slices = {
        name: {part.name: part.rows for part in parts}
        for name, parts in slices_of(measured.rows, measured.scores).items()
    }

    assert slices["shop"] == Counter(source["shop"].to_pylist())
    assert slices["open"] == {str(value).lower(): count for value, count in Counter(source["open"].to_pylist()).items()}
    months = Counter(when.strftime("%B") for when in source["when"].to_pylist())
    assert slices["when"] == {month: count for month, count in months.items() if count >= 30}
    assert slices["weak"]["(missing)"] == source["weak"].null_count
    assert sum(slices["strong"].values()) == source.num_rows
    assert max(slices["strong"].values()) - min(slices["strong"].values()) <= 5


def test_the_slice_that_is_chance_is_the_worst_and_no_better_than_a_guess(measured: Measured):
    slices, overall = slices_of(measured.rows, measured.scores), float(measured.scores.losses.mean())

    first = worst(slices, overall, 3)[0]

    assert (first.column, first.name) == ("shop", "b")
    assert first.loss - first.margin > overall
    assert first.loss > first.constant * 0.95
    assert all(part.loss < part.constant for part in slices["shop"] if part.name != "b")


def test_means_of_labels_and_predictions_are_told(measured: Measured):
    parts = slices_of(measured.rows, measured.scores)["strong"]

    low, high = parts[0], parts[-1]
    assert low.actual is not None
    assert high.actual is not None
    assert low.actual < 0.3
    assert high.actual > 0.7
    assert all(abs((part.actual or 0) - (part.predicted or 0)) < 0.2 for part in parts)
