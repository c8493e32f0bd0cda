"""A small sweep over a tiny table, without Prefect."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from unbroken.config import CheckpointConfig, Config, DataConfig, TrainingConfig
from unbroken.sweeps.settings import SweepConfig

ROWS, EPOCHS = 90, 4
SPACE = """
"training.learning_rate" = { low = 1e-3, high = 3e-1, log = true }
"model.options.dropout" = { low = 0.0, high = 0.5 }
"training.batch_size" = { choices = [16, 32] }
"model.options.hidden" = { choices = [[4], [8, 4]] }
"""


def write_source(folder: Path) -> Path:
    """Write a table of numbers and a binary label, and a space."""
    draw = np.random.Generator(np.random.PCG64(3))
    numbers = draw.standard_normal((ROWS, 3))
    label = (numbers[:, 0] * numbers[:, 1] + numbers[:, 2] + 0.3 * draw.standard_normal(ROWS) > 0).astype(np.int8)
    columns = {f"number_{index}": numbers[:, index] for index in range(3)}
    path = folder / "source.parquet"
    pq.write_table(pa.table({**columns, "label": label}), path)
    (folder / "space.toml").write_text(SPACE)
    return path


def configure(folder: Path, **settings: Any) -> SweepConfig:
    """Return a sweep over the table in a folder; further settings are those of the sweep."""
    train = Config(
        data=DataConfig(source=str(folder / "source.parquet")),
        training=TrainingConfig(epochs=EPOCHS),
        checkpoint=CheckpointConfig(baseline="constant", every_steps=2),
        runs_folder=str(folder / "runs"),
    )
    defaults: dict[str, Any] = {"space": str(folder / "space.toml"), "folder": str(folder / "sweeps"), "trials": 5}
    return SweepConfig(train=train, **defaults | settings)


def with_source(config: SweepConfig, source: str) -> SweepConfig:
    """Return the same sweep over other data."""
    return replace(config, train=replace(config.train, data=replace(config.train.data, source=source)))
