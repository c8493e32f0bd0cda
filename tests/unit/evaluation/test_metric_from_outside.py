"""A metric is one entry in the table and one function; nothing else knows its name."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import unbroken
from tests.contract import write_rows
from unbroken.config.metrics import CLASSES, METRICS, Metric
from unbroken.evaluation.scores import SCORES, Labels, Predicted, Score
from unbroken.retraining.gate import judge


def brier(predicted: Predicted, labels: Labels) -> Score:
    """The mean squared error of the probability of class 1."""
    errors = (predicted[:, -1].astype(np.float64) - labels) ** 2
    return lambda counts: float(np.average(errors, weights=counts))


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    metric = Metric(name="brier", tasks=CLASSES, smaller_is_better=True, gated=True, needs_all_scores=True)
    monkeypatch.setitem(METRICS, "brier", metric)
    monkeypatch.setitem(SCORES, "brier", brier)


@pytest.mark.usefixtures("registered")
def test_a_metric_registered_from_outside_is_recorded_monitored_and_judged_by(tmp_path: Path):
    source = write_rows(tmp_path / "rows.parquet", "binary")
    model = unbroken.train(
        unbroken.Config(
            data=unbroken.DataConfig(source=source),
            training=unbroken.TrainingConfig(epochs=3, batch_size=32, monitor="validation_brier", patience=1),
            checkpoint=unbroken.CheckpointConfig(publish="best"),
            runs_folder=str(tmp_path / "runs"),
        )
    )

    assert min(entry["validation_brier"] for entry in model.history) == model.metrics["validation_brier"]
    assert "test_brier" in model.metrics
    labels = pq.read_table(source)["label"].to_numpy(zero_copy_only=False).astype(int)
    probability = model.predict(pq.read_table(source).drop(["label"]))["probability"].to_numpy()
    better, worse = (np.stack([1 - part, part], axis=1) for part in (probability, np.full(len(labels), 0.5)))
    verdict = judge(worse, better, labels, "binary", unbroken.GateConfig(metric="brier"))
    assert verdict.promote
    assert verdict.challenger == pytest.approx(((probability - labels) ** 2).mean())
