"""Stage 2: decide which rows train, fit the encoder on those in one pass, transform all rows in another."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from unbroken.config import PreprocessConfig, SplitConfig, StartConfig
from unbroken.data.dataset import Dataset, Manifest
from unbroken.data.parquet import Writer, read_slices
from unbroken.data.prefetch import prefetch
from unbroken.data.split import Assignment, PartsOf, write_assignment
from unbroken.data.verification import read_verified
from unbroken.errors import DataError
from unbroken.features.category_dropout import drop_categories
from unbroken.features.encoder import Encoder
from unbroken.features.fit import column_names, fit
from unbroken.run import Run, delete_on_bad_input
from unbroken.stages.load_data import read_manifest
from unbroken.stages.results import Preprocessed
from unbroken.storage import atomic
from unbroken.storage.artifact import Artifact, to_json

SCRATCH = StartConfig()


def preprocess(
    source: Dataset, config: PreprocessConfig, split: SplitConfig, run: Run, start: StartConfig = SCRATCH
) -> Preprocessed:
    """Write all rows as the model's inputs; the encoder learns from the rows that the split lets train.

    In a warm start it is that of the checkpoint, or, if refitted, keeps its columns and categories.

    Args:
        source: What `load_data` gave.
        config: How columns become numbers in 0 .. 1 and codes.
        split: Which rows train.
        run: The run, whose folder is written to.
        start: Where a warm start takes its encoder from.

    Raises:
        DataError: A value fits no column; names file and row. Or a file changed since the run began. A new run leaves
            nothing behind.
    """
    with delete_on_bad_input(run):
        manifest = read_manifest(source)
        return read_verified(manifest.files, lambda: _preprocess(manifest, config, split, run, start))


def _preprocess(
    manifest: Manifest, config: PreprocessConfig, split: SplitConfig, run: Run, start: StartConfig
) -> Preprocessed:
    assignment = write_assignment(run.data / "split.bin", manifest, split)
    encoder = _fit_or_keep(manifest, config, assignment.parts, run, start)
    encoder_path, path = run.data / "scaler.json", run.data / "preprocessed.parquet"
    schema = _arrow_schema(encoder, manifest.files[0].name)
    atomic.write(encoder_path, to_json(encoder, indent=1))
    with Writer(path, schema) as writer:
        for batch in prefetch(_transformed(manifest, encoder, config, assignment)):
            writer.write(batch)
    return Preprocessed(dataset=writer.dataset(), encoder=Artifact.of(encoder_path), assignment=assignment)


def _transformed(
    manifest: Manifest, encoder: Encoder, config: PreprocessConfig, assignment: Assignment
) -> Iterator[pa.RecordBatch]:
    """Yield all rows as the model's inputs, some at a time."""
    drops, start = config.least_count > 1 and bool(encoder.categories), 0
    for part in read_slices(manifest.files, column_names(encoder.schema)):
        inputs, stop = encoder.transform(part.rows, part.subject), start + len(part)
        if drops:
            inputs = drop_categories(inputs, encoder, start, assignment.parts(start, stop), manifest.rows)
        yield inputs
        start = stop


def _fit_or_keep(
    manifest: Manifest, config: PreprocessConfig, parts_of: PartsOf, run: Run, start: StartConfig
) -> Encoder:
    if start.warm_from is None:
        return fit(manifest, config, parts_of)
    encoder = Encoder.of_published(Path(start.warm_from), run.parent)
    kinds = {column.name: column.kind for column in (*manifest.schema.features, manifest.schema.label)}
    for column in (*encoder.schema.features, encoder.schema.label):
        if kinds.get(column.name) != column.kind:
            raise DataError(
                f"{manifest.files[0].name}: column {column.name}: found {kinds.get(column.name, 'no such column')}, "
                f"expected {column.kind} as in {start.warm_from}"
            )
    if start.scaler == "keep":
        return encoder
    return encoder.widen(fit(replace(manifest, schema=encoder.schema), config, parts_of), config.max_categories)


def _arrow_schema(encoder: Encoder, source: str) -> pa.Schema:
    features = encoder.features
    if len(set(features.columns)) < len(features.columns):
        duplicates = sorted({name for name in features.columns if features.columns.count(name) > 1})
        raise DataError(
            f"{source}: column {', '.join(duplicates)}: the name is needed for a derived column; rename it in the source"
        )
    types = [pa.float32()] * len(features.numbers) + [pa.int32()] * len(features.categories)
    types.append(pa.int64() if features.classes else pa.float32())
    # No value is missing any more: Parquet then has nothing to say of it, which saves a third of the time.
    return pa.schema([pa.field(name, type, nullable=False) for name, type in zip(features.columns, types, strict=True)])
