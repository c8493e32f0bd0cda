"""Months of rows, and retrainings on them as they come."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from unbroken import pipeline
from unbroken.config import Config, DataConfig, GateConfig, ModelConfig, RetrainConfig, TrainingConfig
from unbroken.features.encoder import Encoder
from unbroken.retraining.new_data import encoder_of, registry_of
from unbroken.retraining.promotion import Decision
from unbroken.serving.registry import Registry

CODES = ("04", "11", "a7", "b2")


def month(seed: int, rows: int = 400, **columns: Any) -> pa.Table:
    """Return rows whose label `y` follows `x` and, to the letter, `leak`; a column given by name takes its place, None drops it."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=rows)
    y = (x + generator.normal(0, 0.7, rows) > 0).astype(np.int64)
    table = {
        "x": x,
        "leak": y + generator.normal(0, 0.01, rows),
        "code": generator.choice(CODES, rows).tolist(),
        "day": [date(2024, 1, 1) + timedelta(days=int(day)) for day in generator.integers(0, 300, rows)],
        "z": (x + generator.normal(0, 0.7, rows) > 0.2).astype(np.int64),
        "y": y,
    }
    return pa.table({name: values for name, values in (table | columns).items() if values is not None})


def arrives(folder: Path, name: str, table: pa.Table) -> Path:
    """Write a month to the folder of the source; the name's ending says as what."""
    path = folder / "in" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".csv":
        pa_csv.write_csv(table, path)
    else:
        pq.write_table(table, path)
    return path


def config_for(
    folder: Path,
    *,
    gate: dict[str, Any] | None = None,
    train: dict[str, Any] | None = None,
    settings: dict[str, Any] | None = None,
    **data: Any,
) -> RetrainConfig:
    """Return settings of a retraining; those of the data by their own names."""
    own: dict[str, Any] = {
        "model": ModelConfig(options={"hidden": [8]}),
        "training": TrainingConfig(epochs=4, batch_size=32, learning_rate=0.02),
    }
    return RetrainConfig(
        model="toy",
        models_folder=str(folder / "models"),
        gate=GateConfig(resamples=100, **(gate or {})),
        train=Config(
            data=DataConfig(source=str(folder / "in"), **data),
            runs_folder=str(folder / "runs"),
            **(own | (train or {})),
        ),
        **(settings or {}),
    )


def retrain(config: RetrainConfig) -> Decision:
    """Retrain on what is new; there has to be some."""
    decision = pipeline.retrain(config)
    assert decision is not None
    return decision


def encoder(decision: Decision) -> Encoder:
    """Return what the challenger of a decision learnt of its columns."""
    return encoder_of(decision.challenger)


def feature_names(decision: Decision) -> list[str]:
    """Return the features of the challenger of a decision."""
    return [column.name for column in encoder(decision).schema.features]


def registry(config: RetrainConfig) -> Registry:
    """Return the registry of the model."""
    return registry_of(config)
