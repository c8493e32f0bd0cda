"""Rounds of retraining on months of shops, the second of which has drifted, and the pages that they leave."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from unbroken import pipeline
from unbroken.config import Config, DataConfig, GateConfig, ModelConfig, RetrainConfig, TrainingConfig
from unbroken.retraining.promotion import Decision

LABELS = {
    "binary": lambda signal: np.where(signal > 0.2, "yes", "no"),
    "multiclass": lambda signal: np.array(["low", "middle", "high"])[np.digitize(signal, [-0.6, 0.6])],
    "regression": lambda signal: signal * 100 + 1000,
}


def month(task: str, seed: int, shift: float = 0.0, rows: int = 900) -> pa.Table:
    """Return rows whose label follows `x`; `shift` moves it from those of other months."""
    random = np.random.default_rng(seed)
    x, weather = random.normal(shift, 1, rows), random.normal(size=rows)
    days = random.integers(0, 300, rows) * 86_400
    columns: dict[str, Any] = {
        "x": x,
        "weather": pa.array(weather, mask=random.random(rows) < 0.05),
        "shop": random.choice(["airport", "harbour", "market"], rows),
        "when": pa.array(days, pa.timestamp("s")),
        "open": random.random(rows) < 0.3,
        "y": LABELS[task](x + 0.5 * weather + random.normal(0, 0.4, rows)),
    }
    return pa.table(columns)


def config_for(folder: Path, epochs: int = 3) -> RetrainConfig:
    """Return settings of a retraining on what comes into a folder."""
    return RetrainConfig(
        model="shops",
        models_folder=str(folder / "models"),
        gate=GateConfig(resamples=100, slices=("shop",), slice_rows=20, slice_bound=1000.0),
        train=Config(
            data=DataConfig(source=str(folder / "in"), label="y"),
            model=ModelConfig(options={"hidden": [8]}),
            training=TrainingConfig(epochs=epochs, batch_size=32, learning_rate=0.02),
            runs_folder=str(folder / "runs"),
        ),
    )


def arrives(folder: Path, name: str, table: pa.Table) -> Path:
    """Write a month to the folder of the source."""
    path = folder / "in" / f"{name}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
    return path


def two_rounds(folder: Path, task: str) -> tuple[RetrainConfig, Decision, Decision]:
    """Retrain on a month and on a second one that has drifted, and write the page of each."""
    config = config_for(folder)
    with pages_written():
        arrives(folder, "2024-01", month(task, 1))
        first = pipeline.retrain(config)
        arrives(folder, "2024-02", month(task, 2, shift=1.0))
        second = pipeline.retrain(config)
    assert first is not None
    assert second is not None
    return config, first, second


@contextmanager
def pages_written() -> Generator[None]:
    """Have pages written, as they are outside of tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("UNBROKEN_REPORT")
        yield


def pages(folder: Path) -> list[Path]:
    """Return the pages beside decisions, the oldest first."""
    return sorted((folder / "models").glob("shops/cycles/*/report.html"), key=lambda path: path.stat().st_mtime_ns)
