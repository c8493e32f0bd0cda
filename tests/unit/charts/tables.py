"""Tables of each task with categories, nulls, dates, booleans, an id and a leak, and runs on them."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tests.contract import run_stages
from tests.unit.stages import write
from unbroken.config import Config, DataConfig, ModelConfig, SplitConfig, TrainingConfig
from unbroken.run import Run, open_run

ROWS = 1500
MINUTE = 60


def table(task: str) -> dict[str, Any]:
    """Return a table whose label follows `strong`, but for the rows of shop `b`, where it is chance."""
    random = np.random.default_rng(0)
    strong, weak = random.normal(size=ROWS), random.normal(size=ROWS)
    shop = random.choice(["a", "b", "c"], ROWS)
    signal = np.where(shop == "b", random.normal(size=ROWS), strong)
    labels = {
        "binary": (signal > 0).astype(int),
        "multiclass": np.array(["low", "middle", "high"])[np.digitize(signal, [-0.5, 0.5])],
        "regression": signal * 100 + 1000,
    }
    days = random.integers(0, 365, ROWS) * 86_400 + random.integers(0, 86_400, ROWS)
    return {
        "row_id": np.arange(ROWS),
        "strong": strong,
        "weak": pa.array(weak, mask=random.random(ROWS) < 0.1),
        "shop": shop,
        "when": pa.array(days, pa.timestamp("s")),
        "open": random.random(ROWS) < 0.3,
        "label": labels[task],
    }


def trained(folder: Path, task: str, columns: dict[str, Any] | None = None, epochs: int = 4) -> tuple[Config, Run]:
    """Train on such a table."""
    source = write(folder / f"{task}.parquet", columns or table(task))
    config = Config(
        data=DataConfig(source=source),
        model=ModelConfig(options={"hidden": [16]}),
        split=SplitConfig(test_fraction=0.4, validation_fraction=0.2),
        training=TrainingConfig(epochs=epochs, batch_size=32, learning_rate=0.01),
        runs_folder=str(folder / "runs"),
    )
    run_stages(config)
    return config, open_run(config)
