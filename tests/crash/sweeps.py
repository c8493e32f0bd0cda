"""A sweep of tiny trainings, some of which are pruned, for children that are killed."""

import json
from pathlib import Path
from typing import Any

from tests.unit.sweeps.sweeps import configure, write_source
from unbroken.sweeps.run import run_sweep
from unbroken.sweeps.settings import SweepConfig

TRIALS = 30
__all__ = ["complete", "config_of", "study", "write_source"]


def config_of(folder: Path, workers: int) -> SweepConfig:
    """Return the sweep of a folder."""
    return configure(folder, trials=TRIALS, workers=workers, pruner_options={"n_startup_trials": 3})


def complete(folder: Path, workers: int = 1) -> str:
    """Run a sweep from wherever it stands to its end and return the SHA-256 of the checkpoint of the best."""
    return run_sweep(config_of(folder, workers)).digest


def study(folder: Path) -> tuple[list[dict[str, Any]], bytes]:
    """Return each line of the journal of the one sweep but its time, in the order of the trials, and its `sweep.json`."""
    (sweep,) = (folder / "sweeps").iterdir()
    lines = [json.loads(line) for line in (sweep / "journal.jsonl").read_bytes().splitlines()]
    plain = [{name: line[name] for name in line if name not in ("time", "content_sha256")} for line in lines]
    plain.sort(key=lambda line: (line["event"] == "published", line["trial"], line["event"] == "ended"))
    return plain, (sweep / "sweep.json").read_bytes()
