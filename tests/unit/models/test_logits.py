"""Logits of a user's model in any floating-point precision train and predict; anything else ends in one paragraph."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import unbroken
from tests.contract import write_rows

FACTORY = "tests.unit.own_model:OfPrecision"


def configured(folder: Path, label: str, **options: object) -> unbroken.Config:
    return unbroken.Config(
        data=unbroken.DataConfig(source=write_rows(folder / "rows.parquet", label)),
        model=unbroken.ModelConfig(factory=FACTORY, options=options),
        training=unbroken.TrainingConfig(epochs=1, batch_size=32),
        runs_folder=str(folder / "runs"),
    )


@pytest.mark.parametrize("precision", ["bfloat16", "float16", "float32", "float64"])
@pytest.mark.parametrize("label", ["binary", "multiclass", "regression"])
def test_logits_of_any_precision_train_and_predict(label: str, precision: str, tmp_path: Path):
    config = configured(tmp_path, label, precision=precision)

    model = unbroken.train(config)
    predictions = model.predict(pq.read_table(config.data.source))

    assert len(predictions) == 240
    expected = pa.float64() if label == "regression" else pa.float32()
    assert predictions.schema.field(0).type == expected


def test_a_model_that_gives_a_pair_in_training_alone_is_refused(tmp_path: Path):
    config = configured(tmp_path, "binary", precision="float32", pair=True)

    with pytest.raises(unbroken.ConfigError, match="its model gives tuple, expected a tensor of logits alone"):
        unbroken.train(config)

    assert not list(Path(config.runs_folder).iterdir())
