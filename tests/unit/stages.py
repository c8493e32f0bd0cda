"""Small sources, and the first three stages over them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from unbroken.config import Config, DataConfig, PreprocessConfig, SplitConfig
from unbroken.data.dataset import Manifest, SplitDatasets
from unbroken.data.schema import Schema
from unbroken.features.encoder import Encoder
from unbroken.run import Run, open_run
from unbroken.stages.load_data import load_data, read_manifest
from unbroken.stages.preprocess import preprocess
from unbroken.stages.split import split_dataset

HALVES = [0, 1] * 50
"""A label for 100 rows."""


def write(path: Path, columns: dict[str, Any] | pa.Table, **options: Any) -> str:
    """Write a Parquet file and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = columns if isinstance(columns, pa.Table) else pa.table(columns)
    pq.write_table(table, path, **options)
    return str(path)


def hundred(column: Any, label: Any = HALVES) -> dict[str, Any]:
    """Return 100 rows of one column `x` beside a counter and a label."""
    return {"row": pa.array([float(row) for row in range(100)]), "x": column, "label": label}


def opened(source: Path | str, folder: Path, **data: Any) -> tuple[Config, Run]:
    """Open a run over a source."""
    config = Config(data=DataConfig(source=str(source), **data), runs_folder=str(folder / "runs"))
    return config, open_run(config)


def loaded(source: Path | str, folder: Path, **data: Any) -> Manifest:
    """Run stage 1 and return the manifest."""
    config, run = opened(source, folder, **data)
    return read_manifest(load_data(config.data, run))


def schema_of(source: Path | str, folder: Path, **data: Any) -> Schema:
    """Run stage 1 and return the column contract."""
    return loaded(source, folder, **data).schema


@dataclass(frozen=True)
class Prepared:
    """What the first three stages made."""

    run: Run
    manifest: Manifest
    encoder: Encoder
    rows: pa.Table
    splits: SplitDatasets

    @property
    def train(self) -> pa.Table:
        """The rows that train."""
        return pq.read_table(self.splits.train.path)

    @property
    def test(self) -> pa.Table:
        """The rows that test."""
        return pq.read_table(self.splits.test.path)


def prepared(
    source: Path | str,
    folder: Path,
    *,
    scaling: PreprocessConfig = PreprocessConfig(),  # noqa: B008 (frozen)
    split: SplitConfig = SplitConfig(),  # noqa: B008 (frozen)
    **data: Any,
) -> Prepared:
    """Run the first three stages."""
    config = Config(
        data=DataConfig(source=str(source), **data), preprocess=scaling, split=split, runs_folder=str(folder / "runs")
    )
    run = open_run(config)
    dataset = load_data(config.data, run)
    done = preprocess(dataset, scaling, split, run)
    return Prepared(
        run=run,
        manifest=read_manifest(dataset),
        encoder=Encoder.load(Path(done.encoder.path)),
        rows=pq.read_table(done.dataset.path),
        splits=split_dataset(done, split, run),
    )
