"""Stage 3: the training, validation and test rows, each to a file of its own."""

from collections.abc import Iterator
from contextlib import ExitStack

import numpy as np
import pyarrow as pa

from unbroken.config import SplitConfig
from unbroken.data.dataset import Dataset, SplitDatasets
from unbroken.data.parquet import Writer, read_dataset, read_schema
from unbroken.data.prefetch import prefetch
from unbroken.data.split import TEST, TRAIN, VALIDATION, Assignment, assign
from unbroken.run import Run, delete_on_bad_input
from unbroken.stages.load_data import read_manifest


def split_dataset(source: Dataset, preprocessed: Dataset, config: SplitConfig, run: Run) -> SplitDatasets:
    """Write the rows of the preprocessed dataset to one Parquet file per part, in their order."""
    names = {TRAIN: "train", TEST: "test"} | ({VALIDATION: "validation"} if config.validation_fraction else {})
    with delete_on_bad_input(run), ExitStack() as stack:
        assignment = assign(read_manifest(source), config)
        schema = read_schema(preprocessed)
        writers = {
            part: stack.enter_context(Writer(run.data / f"{name}.parquet", schema)) for part, name in names.items()
        }
        for batches in prefetch(_divided(preprocessed, schema.names, assignment, tuple(names))):
            for batch, writer in zip(batches, writers.values(), strict=True):
                writer.write(batch)
    validation = writers[VALIDATION].dataset() if VALIDATION in writers else None
    return SplitDatasets(train=writers[TRAIN].dataset(), validation=validation, test=writers[TEST].dataset())


def _divided(
    dataset: Dataset, columns: list[str], assignment: Assignment, parts: tuple[int, ...]
) -> Iterator[list[pa.RecordBatch]]:
    """Yield the rows of a dataset by the parts they belong to, some rows at a time."""
    start = 0
    for rows in read_dataset(dataset, columns):
        found = assignment(start, start + rows.num_rows)
        yield [rows.take(pa.array(np.flatnonzero(found == part))) for part in parts]
        start += rows.num_rows
