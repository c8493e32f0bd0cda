"""Rows that are replaced while they are scored: all predictions are of one content, or there are none."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.contract import run_stages
from tests.unit.test_changed_source import CHANGES, Change, Once, configured, during, written
from unbroken.errors import DataError
from unbroken.serving import scoring
from unbroken.serving.prediction import Predictor, load_predictor


def trained(source: Path, folder: Path) -> Predictor:
    return load_predictor(run_stages(configured(source, folder)).path)


@pytest.mark.parametrize("ending", ["parquet", "csv"])
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("function", ["as_parquet", "read_footers", "read_slices"])
def test_rows_replaced_while_they_are_scored_are_scored_again(
    function: str, change: Change, ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    source, kept, other = written(tmp_path, ending)
    model = trained(kept, tmp_path)
    expected = pq.read_table(scoring.predict_files(model, str(other), tmp_path / "expected.parquet").path)
    during(monkeypatch, scoring, function, Once(lambda: change(source, other)))

    predictions = scoring.predict_files(model, str(source), tmp_path / "out.parquet")

    assert pq.read_table(predictions.path).equals(expected)


def test_rows_that_never_rest_are_refused_and_earlier_predictions_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    source, kept, other = written(tmp_path, "parquet")
    model = trained(kept, tmp_path)
    earlier = scoring.predict_files(model, str(kept), tmp_path / "out.parquet").digest
    during(monkeypatch, scoring, "read_footers", lambda: CHANGES[1](source, other))

    with pytest.raises(DataError, match=r"source\.parquet: written to each time it was read"):
        scoring.predict_files(model, str(source), tmp_path / "out.parquet")
    assert scoring.atomic.digest(tmp_path / "out.parquet") == earlier
