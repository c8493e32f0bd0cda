"""The flights of 2013 arrive month by month, and the model is retrained on each: `python -m benchmarks.retrain_months FOLDER`.

Each month is a process of its own, as a schedule would start it. One month comes as a broken file first (a column is
missing) and again whole; in the end the last promotion is rolled back. Further arguments go to `flows.retrain`.
"""

import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq

from unbroken.serving.registry import Registry
from unbroken.storage import atomic

FLIGHTS = Path("data/flights")
BROKEN = "2013-05.parquet"


def main(folder: Path, arguments: list[str]) -> None:
    """Run all months, print the audit log as a table, and roll back once."""
    arriving, models = folder / "arriving", folder / "models"
    arriving.mkdir(parents=True)
    for month in sorted(FLIGHTS.glob("2013-*.parquet")):
        if month.name == BROKEN:
            pq.write_table(pq.read_table(month).drop_columns(["temp"]), arriving / month.name)
            print(f"{month.name} without a column: ", end="", flush=True)
            retrain(folder, arguments)
        print(f"{month.name}: ", end="", flush=True)
        (arriving / month.name).write_bytes(month.read_bytes())
        retrain(folder, arguments)
    registry(models, "history")
    roll_back(models)


def retrain(folder: Path, arguments: list[str]) -> None:
    """Run the flow in a process of its own; 2 is its exit code for data that are blocked."""
    places = ["--model", "flights", "--models_folder", folder / "models", "--train.data.source", folder / "arriving"]
    command = [sys.executable, "-m", "flows.retrain", *places, "--train.runs_folder", folder / "runs", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 2):
        raise SystemExit(done.stdout + done.stderr)
    print(f"exit code {done.returncode}", flush=True)


def roll_back(models: Path) -> None:
    """Roll back and show that the bytes of the champion before are the champion's again."""
    flights = Registry(models / "flights")
    before = flights.pointer.champions[-2]
    registry(models, "rollback")
    champion = flights.champion()
    assert champion is not None
    print(f"before the last promotion {before}\nsha256sum of the champion {atomic.digest(Path(champion.path))}")


def registry(models: Path, command: str) -> None:
    """Run the registry's command line."""
    subprocess.run(
        [sys.executable, "-m", "unbroken.registry", "--models_folder", models, command, "flights"], check=True
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
