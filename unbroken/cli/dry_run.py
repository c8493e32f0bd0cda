"""What a training would do, told in seconds: how its rows are cut, and the memory and time it takes, measured on a few of them.

What needs torch is imported where it is used, as in `pipeline`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from unbroken import pipeline
from unbroken.config import Config
from unbroken.data.dataset import Manifest
from unbroken.data.parquet import read_slices
from unbroken.data.split import TEST, TRAIN, VALIDATION, assign
from unbroken.features.encoder import Encoder
from unbroken.features.fit import column_names
from unbroken.run import begin, open_run
from unbroken.stages.load_data import load_data, read_manifest
from unbroken.storage.journal import Journal

SAMPLE_ROWS, MOST_ROWS = 1 << 14, 1 << 22
"""Rows that are trained on to measure, taken evenly from the first of the source."""
EPOCHS = 2
"""The first of them is slower: much is made ready."""
PIECE_ROWS = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The rows of a training, and which of them do what.

    Attributes:
        config: The settings.
        manifest: The rows and their columns.
        parts: How many rows train, validate and test.
    """

    config: Config
    manifest: Manifest
    parts: dict[str, int]

    @classmethod
    def make(cls, config: Config, folder: Path) -> "Plan":
        """Load the data as stage 1 does, and decide which rows do what; raise as a training would.

        Args:
            config: The settings.
            folder: Where what is read from CSV files is put.
        """
        aside = replace(config, runs_folder=str(folder / "loaded"), name=None)
        _, dataset = begin(aside, open_run(aside), lambda run: load_data(config.data, run))
        manifest = read_manifest(dataset)
        parts_of = assign(manifest, config.chosen.split)
        counts = np.zeros(max(TRAIN, VALIDATION, TEST) + 1, np.int64)
        for start in range(0, manifest.rows, PIECE_ROWS):
            parts = parts_of(start, min(start + PIECE_ROWS, manifest.rows))
            counts += np.bincount(parts, minlength=len(counts))
        names = {"train": TRAIN, "validation": VALIDATION, "test": TEST}
        return cls(config=config, manifest=manifest, parts={name: int(counts[part]) for name, part in names.items()})


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What a training takes on this machine, as far as some of its rows tell.

    Attributes:
        numbers: Columns of numbers that enter the model.
        categories: Columns of codes.
        parameters: Numbers that the model learns.
        row_bytes: Memory of all rows.
        limit: Memory that they may take; more are streamed from disk.
        epoch_seconds: Of training, without the evaluation.
    """

    numbers: int
    categories: int
    parameters: int
    row_bytes: int
    limit: int
    epoch_seconds: float


def measure(plan: Plan, folder: Path) -> Measurement:
    """Train a model, to be thrown away, for EPOCHS on some of the rows.

    Args:
        plan: What would be trained.
        folder: Where it is trained.

    Raises:
        UnbrokenError: These rows cannot be trained on by themselves, or the model cannot at all.
    """
    from unbroken.batches.memory import bytes_in_memory, memory_limit  # noqa: PLC0415
    from unbroken.checkpoints.format import read_checkpoint  # noqa: PLC0415
    from unbroken.stages.train import train  # noqa: PLC0415

    config = _on_sample(plan, folder)
    prepared = pipeline.prepare(config, open_run(config))
    last = train(config, prepared.splits, prepared.preprocessed.encoder, prepared.run)
    features = Encoder.load(Path(prepared.preprocessed.encoder.path)).features
    rates = [event["rows_per_second"] for event in Journal(prepared.run.journal).events() if "rows_per_second" in event]
    weights = read_checkpoint(Path(last.path), last.digest)["model_state_dict"]
    return Measurement(
        numbers=len(features.numbers),
        categories=len(features.categories),
        parameters=sum(weight.numel() for weight in weights.values()),
        row_bytes=plan.manifest.rows * bytes_in_memory(features),
        limit=memory_limit(config.training.memory_limit),
        epoch_seconds=plan.parts["train"] / rates[-1],
    )


def _on_sample(plan: Plan, folder: Path) -> Config:
    """Write some of the rows to a file, and return the settings of a short training on it."""
    manifest, config = plan.manifest, plan.config
    source, schema = folder / "sample.parquet", manifest.schema
    by = [config.split.column] if config.split.column else []
    names = list(dict.fromkeys([*by, *column_names(schema)]))
    pq.write_table(pa.Table.from_batches(list(_some_rows(manifest, names))), source)
    features = tuple(column.name for column in schema.features)
    data = replace(
        config.data,
        source=str(source),
        label=schema.label.name,
        include=features,
        exclude=(),
        keep=(),
        categories=tuple(name for name in config.data.categories if name in features),
        types={name: kind for name, kind in config.data.types.items() if kind == "text" and name in features},
        task=schema.task,
    )
    training = replace(config.training, epochs=EPOCHS, patience=None)
    return replace(config, data=data, training=training, runs_folder=str(folder / "measured"), name=None)


def _some_rows(manifest: Manifest, names: list[str]) -> Iterator[pa.RecordBatch]:
    stride = max(1, min(manifest.rows, MOST_ROWS) // SAMPLE_ROWS)
    start = 0
    for part in read_slices(manifest.files, names):
        first = -start % stride
        yield part.rows.take(pa.array(np.arange(first, len(part), stride)))
        start += len(part)
        if start >= MOST_ROWS:
            return
