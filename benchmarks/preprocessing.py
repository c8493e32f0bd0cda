"""Preprocess and split 10 M rows x 10 columns against polars, duckdb, pandas, and reading and writing the file alone.

`python -m benchmarks.preprocessing [ROWS]`. Each contender fits the ranges on the training rows of an exact random
80 : 20 split, writes all rows as float32 in 0 .. 1, and the rows of each part: three Parquet files, on the disk (fsync)
when its time ends. Unbroken also fits what missing values take, checks every value, and writes page checksums and digests:
at equal output means that a peer takes the SHA-256 of the files too (none of them can write page checksums).
"""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.measure import Target, compare, save, seconds
from benchmarks.rows import FEATURES, copied, on_disk, write_rows
from unbroken.config import Config, DataConfig, SplitConfig
from unbroken.data.parquet import Writer
from unbroken.run import open_run
from unbroken.stages.load_data import load_data
from unbroken.stages.preprocess import preprocess
from unbroken.stages.split import split_dataset
from unbroken.storage import atomic

NAMES = [f"x{place}" for place in range(FEATURES)]
PARTS = ("preprocessed", "train", "test")
ROUNDS = 5


def main(folder: Path, rows: int) -> None:
    """Compare all contenders and save what came out."""
    folder.mkdir(parents=True, exist_ok=True)
    source, out = write_rows(folder / f"{rows}.parquet", rows), folder / "out"
    works: dict[str, Callable[[Path, Path], None]] = {
        "read and write alone (pyarrow)": lambda source, out: copied(source, out / "copy.parquet"),
        "read and write alone (our settings)": copied_as_ours,
        "pandas": with_pandas,
        "polars": with_polars,
        "polars, at equal output": lambda source, out: digested(with_polars, source, out),
        "duckdb": with_duckdb,
    }
    targets = {
        "read and write alone (pyarrow)": Target(at_most=1.4),
        "pandas": Target(at_most=0.2),
        "polars, at equal output": Target(at_most=1.0),
        "duckdb": Target(at_most=1.0),
    }

    def timed(work: Callable[[Path, Path], None]) -> float:
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        os.sync()
        return seconds(lambda: work(source, out))

    contenders = {"unbroken": prepared(source, folder)}
    contenders |= {name: lambda work=work: timed(work) for name, work in works.items()}
    found = compare(
        f"preprocess and split {rows:,} rows x {FEATURES}",
        "s",
        contenders,
        rounds=ROUNDS,
        warm_up=False,
        targets=targets,
    )
    save("preprocessing", [found])
    shutil.rmtree(folder)


def prepared(source: Path, folder: Path) -> Callable[[], float]:
    """Return stages 2 and 3 of a new run."""
    config = Config(
        data=DataConfig(source=str(source)),
        split=SplitConfig(validation_fraction=0.0),
        runs_folder=str(folder / "runs"),
    )

    def measured() -> float:
        run = open_run(config)
        shutil.rmtree(run.path, ignore_errors=True)
        dataset = load_data(config.data, run)
        os.sync()

        def stages() -> None:
            done = preprocess(dataset, config.chosen.preprocess, config.chosen.split, run)
            split_dataset(done, config.chosen.split, run)

        return seconds(stages)

    return measured


def copied_as_ours(source: Path, out: Path) -> None:
    """Read all and write it again as Unbroken writes it."""
    with pq.ParquetFile(source) as file, Writer(out / "copy.parquet", never_missing(file.schema_arrow)) as writer:
        for batch in file.iter_batches():
            writer.write(batch)


def never_missing(schema: pa.Schema) -> pa.Schema:
    """Return the schema with no column that can be null."""
    return pa.schema([field.with_nullable(False) for field in schema])


def with_pandas(source: Path, out: Path) -> None:
    """All in memory."""
    rows = pd.read_parquet(source)
    training = training_rows(len(rows))
    fitted = rows.loc[training, NAMES]
    low, high = fitted.min(), fitted.max()
    rows[NAMES] = ((rows[NAMES] - low) / (high - low)).clip(0, 1).astype(np.float32)
    for name, part in zip(PARTS, (rows, rows[training], rows[~training]), strict=True):
        part.to_parquet(out / f"{name}.parquet", compression="lz4", index=False)
        on_disk(out / f"{name}.parquet")


def with_polars(source: Path, out: Path) -> None:
    """All in memory, on all cores."""
    rows = pl.read_parquet(source)
    training = pl.Series(training_rows(len(rows)))
    fitted = rows.filter(training)
    low, high = fitted.select(pl.col(NAMES).min()), fitted.select(pl.col(NAMES).max())
    scaled = rows.with_columns(
        ((pl.col(name) - low[name][0]) / (high[name][0] - low[name][0])).clip(0, 1).cast(pl.Float32) for name in NAMES
    )
    for name, part in zip(PARTS, (scaled, scaled.filter(training), scaled.filter(~training)), strict=True):
        part.write_parquet(out / f"{name}.parquet", compression="lz4")
        on_disk(out / f"{name}.parquet")


def with_duckdb(source: Path, out: Path) -> None:
    """In SQL, on all cores."""
    training = pa.table({"training": training_rows(pq.read_metadata(source).num_rows)})
    with duckdb.connect() as database:
        database.register("parts", training)
        database.sql(f"CREATE VIEW rows AS SELECT * FROM read_parquet('{source}') POSITIONAL JOIN parts")
        ends = ", ".join(f"min({name}) AS low_{name}, max({name}) AS high_{name}" for name in NAMES)
        database.sql(f"CREATE TABLE bounds AS SELECT {ends} FROM rows WHERE training")
        scaled = ", ".join(
            f"CAST(greatest(0, least(1, ({name} - low_{name}) / (high_{name} - low_{name}))) AS FLOAT) AS {name}"
            for name in NAMES
        )
        database.sql(f"CREATE TABLE scaled AS SELECT {scaled}, label, training FROM rows, bounds")
        for name, chosen in zip(PARTS, ("true", "training", "NOT training"), strict=True):
            path = out / f"{name}.parquet"
            query = f"SELECT * EXCLUDE training FROM scaled WHERE {chosen}"
            database.sql(f"COPY ({query}) TO '{path}' (FORMAT parquet, COMPRESSION lz4_raw)")
            on_disk(path)


def digested(work: Callable[[Path, Path], None], source: Path, out: Path) -> None:
    """Take the digests of the files that a peer made."""
    work(source, out)
    for name in PARTS:
        atomic.digest(out / f"{name}.parquet")


def training_rows(rows: int) -> np.ndarray:
    """Return an exact random choice of four fifths."""
    training = np.ones(rows, bool)
    training[np.random.Generator(np.random.PCG64(0)).permutation(rows)[: rows // 5]] = False
    return training


if __name__ == "__main__":
    main(Path("runs/benchmarks/preprocessing"), int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000)
