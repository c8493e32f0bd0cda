"""Stage 3: the training, validation and test rows, each to a file of its own."""

from collections.abc import Iterator
from contextlib import ExitStack

import numpy as np
import pyarrow as pa

from unbroken.config import SplitConfig
from unbroken.data.dataset import SplitDatasets
from unbroken.data.parquet import Writer, read_dataset, read_schema
from unbroken.data.prefetch import prefetch
from unbroken.data.split import TEST, TRAIN, VALIDATION
from unbroken.run import Run, delete_on_bad_input
from unbroken.stages.results import Preprocessed
from unbroken.storage.artifact import verify


def split_dataset(preprocessed: Preprocessed, config: SplitConfig, run: Run) -> SplitDatasets:
    """Write the rows of the preprocessed dataset to one Parquet file per part, in their order.

    Raises:
        DataError: The dataset or the split is not the one that was written.
    """
    names = {TRAIN: "train", TEST: "test"} | ({VALIDATION: "validation"} if config.validation_share else {})
    with delete_on_bad_input(run), ExitStack() as stack:
        verify(preprocessed.assignment)
        schema = read_schema(preprocessed.dataset)
        writers = {
            part: stack.enter_context(Writer(run.data / f"{name}.parquet", schema)) for part, name in names.items()
        }
        for batches in prefetch(_divided(preprocessed, schema.names, tuple(names))):
            for batch, writer in zip(batches, writers.values(), strict=True):
                writer.write(batch)
    validation = writers[VALIDATION].dataset() if VALIDATION in writers else None
    return SplitDatasets(train=writers[TRAIN].dataset(), validation=validation, test=writers[TEST].dataset())


def _divided(preprocessed: Preprocessed, columns: list[str], parts: tuple[int, ...]) -> Iterator[list[pa.RecordBatch]]:
    """Yield the preprocessed rows by the parts they belong to, some rows at a time."""
    start = 0
    for rows in read_dataset(preprocessed.dataset, columns):
        assigned = preprocessed.assignment.parts(start, start + rows.num_rows)
        yield [rows.take(pa.array(np.flatnonzero(assigned == part))) for part in parts]
        start += rows.num_rows
