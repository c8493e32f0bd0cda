"""What was exported gives what `predict` gives, on every flight of a year, for each network and each task."""

from pathlib import Path

import pyarrow.dataset as ds
import pytest

import unbroken
from tests.unit.interchange.exported import onnx_distance, program_distance
from unbroken.config.model import PRESETS

FLIGHTS = Path("data/flights")
LABELS = {"binary": "late", "multiclass": "origin", "regression": "distance"}
ROWS = 336_776
pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning")  # of torch to itself
CLOSE = {"binary": 1e-6, "multiclass": 1e-6, "regression": 2e-6}
"""Values are float32 until the last step: a standard deviation has about 1e7 steps."""


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("task", LABELS)
@pytest.mark.parametrize("factory", PRESETS)
def test_exported_models_give_what_predict_gives_for_every_flight(factory: str, task: str, tmp_path: Path, capsys):
    model = unbroken.train(
        unbroken.Config(
            data=unbroken.DataConfig(source=str(FLIGHTS / "2013-01.parquet"), label=LABELS[task]),
            model=unbroken.ModelConfig(factory=factory),
            training=unbroken.TrainingConfig(epochs=1),
            runs_folder=str(tmp_path / "runs"),
        )
    )
    rows = ds.dataset(FLIGHTS).to_table()
    assert len(rows) == ROWS
    graph = unbroken.export(model.predictor, tmp_path / "model.onnx").read_bytes()
    program = unbroken.export(model.predictor, tmp_path / "model.pt2").read_bytes()

    distances = onnx_distance(model.predictor, graph, rows), program_distance(model.predictor, program, rows)

    with capsys.disabled():
        print(f"\n{factory} {task}: onnx {distances[0]:.1e}, pt2 {distances[1]:.1e}")
    assert max(distances) <= CLOSE[task]
