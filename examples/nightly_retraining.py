"""A nightly retraining: a month of flights arrives before each night, and the champion is challenged on what is new.

python examples/nightly_retraining.py FOLDER
"""

import shutil
import sys
from pathlib import Path

import unbroken

FLIGHTS = Path(__file__).parents[1] / "data" / "flights"
NIGHTS = ("2013-01.parquet", "2013-02.parquet", None)
"""What arrives before each night: nothing before the last."""


def night(folder: Path) -> str:
    """Retrain on what has arrived; the same call after any end goes on from where it was."""
    decision = unbroken.retrain(
        unbroken.RetrainConfig(
            model="flights",
            models_folder=str(folder / "models"),
            holdout=unbroken.SplitConfig(kind="time", column="time_hour"),
            train=unbroken.Config(
                data=unbroken.DataConfig(source=str(folder / "arriving"), label="late"),
                model=unbroken.ModelConfig(factory="mlp"),
                training=unbroken.TrainingConfig(epochs=2),
                runs_folder=str(folder / "runs"),
            ),
        )
    )
    return "nothing new" if decision is None else str(decision)


def main(folder: Path) -> None:
    """Live through some nights."""
    arriving = folder / "arriving"
    arriving.mkdir(parents=True, exist_ok=True)
    for number, month in enumerate(NIGHTS, start=1):
        if month:
            shutil.copy(FLIGHTS / month, arriving)
        print(f"night {number}: {night(folder)}")
    print(f"champion {unbroken.load(folder / 'models' / 'flights').digest}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
