"""Batch scoring: train on a month of flights, then score two others, each once, into Parquet.

python examples/batch_scoring.py FOLDER
"""

import sys
from pathlib import Path

import unbroken

FLIGHTS = Path(__file__).parents[1] / "data" / "flights"


def main(folder: Path) -> None:
    """Score each month twice: the second time nothing is computed, since what stands is of this model and these rows."""
    config = unbroken.Config(
        data=unbroken.DataConfig(source=str(FLIGHTS / "2013-01.parquet"), label="late"),
        model=unbroken.ModelConfig(factory="mlp"),
        training=unbroken.TrainingConfig(epochs=2),
        runs_folder=str(folder / "runs"),
    )
    model = unbroken.train(config)
    for month in ("2013-02", "2013-03", "2013-03"):
        predictions = unbroken.predict(
            unbroken.PredictConfig(
                model=str(model.path),
                source=str(FLIGHTS / f"{month}.parquet"),
                predictions_folder=str(folder / "predictions"),
                keep=("time_hour", "carrier", "dest"),
                interval=0.9,
            )
        )
        print(f"{month}: {predictions}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
