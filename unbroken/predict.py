"""Score raw rows with a published checkpoint: its own scaler, its own model, the values its evaluation saw, to the bit."""

import json
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import nn

from unbroken import atomic, checkpoint, source, table
from unbroken.artifact import Artifact
from unbroken.attempt import reproducible
from unbroken.batches import Rows
from unbroken.config import ModelConfig
from unbroken.errors import CheckpointMismatchError, DataError
from unbroken.load_data import Footer, as_parquet, read_footers
from unbroken.metrics import outputs_of
from unbroken.model import build_model
from unbroken.registry import champion_path
from unbroken.scaler import Scaler, Subject
from unbroken.schema import Column, kind_of
from unbroken.state import canonical
from unbroken.table import Writer

PROBABILITY, CLASS, VALUE, MODEL = "probability", "class", "value", "model"


@dataclass(frozen=True, kw_only=True)
class Predictions(Artifact):
    """A Parquet file of predictions and the SHA-256 of the checkpoint that made them."""

    rows: int
    model: str

    def __str__(self) -> str:
        return f"{self.rows:,} rows scored by {self.model[:16]} in {self.path}"


@dataclass(frozen=True, kw_only=True)
class Predictor:
    """A model with its scaler; `digest` is the SHA-256 of the checkpoint, `threads` those it was trained with."""

    digest: str
    scaler: Scaler
    model: nn.Module
    threads: int
    texts: tuple[str, ...]
    """The category columns whose values were text in training, and stay so when they are read from CSV."""

    def predict(self, rows: Any) -> pa.Table:
        """Return one row of predictions for each row of an Arrow table or batch, a pandas frame, or a dict of columns.

        Binary: `probability` of the second class. Multiclass: `probability_<class>` each. Both: `class`, the likelier or
        likeliest. Regression: `value` in the label's own unit. And `model`, the digest. Needs no label.
        Raise DataError for a column that is missing, of another kind than in training, or infinite.
        """
        given = pa.table(rows)
        self.check(given.schema, "table")
        batches, start = [], 0
        for batch in given.combine_chunks().to_batches(table.BATCH_ROWS):
            batches.append(self.predict_batch(batch, _in_table(start)))
            start += batch.num_rows
        return pa.Table.from_batches(batches, self.schema)

    def predict_batch(self, rows: pa.RecordBatch, subject: Subject) -> pa.RecordBatch:
        """Return the predictions for some raw rows."""
        found, classes = self.outputs(rows, subject), self.scaler.schema.classes
        model = pa.repeat(pa.scalar(self.digest), rows.num_rows)
        if not classes:
            return pa.record_batch([pa.array(found), model], schema=self.schema)
        chosen = found > 0.5 if found.ndim == 1 else found.argmax(axis=1)
        labels = pa.array(classes).take(pa.array(chosen.astype(np.int64)))
        probabilities = [pa.array(column) for column in np.atleast_2d(found.T)]
        return pa.record_batch([*probabilities, labels, model], schema=self.schema)

    def outputs(self, rows: pa.RecordBatch, subject: Subject) -> NDArray[Any]:
        """Return float32 probabilities ([rows] of the second class, [rows, classes]) or float64 values for raw rows."""
        features, label = self.scaler.features, self.scaler.label
        inputs = self.scaler.transform_inputs(_plain(rows), subject)
        numbers = _matrix(inputs, list(features.numbers), np.float32)
        codes = _matrix(inputs, [category.name for category in features.categories], np.int64)
        device = next(self.model.parameters()).device
        with reproducible(self.threads):
            given = Rows(numbers, codes, torch.empty(rows.num_rows)).to(device)
            _, found = outputs_of(self.model, given, features.task)
        if features.task == "regression":
            found = found.double() * label.deviation + label.mean
        return found.cpu().numpy()

    @property
    def schema(self) -> pa.Schema:
        """The columns of predictions."""
        classes, task = self.scaler.schema.classes, self.scaler.schema.task
        if task == "regression":
            return pa.schema({VALUE: pa.float64(), MODEL: pa.string()})
        names = [PROBABILITY] if task == "binary" else [f"{PROBABILITY}_{value}" for value in classes]
        return pa.schema({**dict.fromkeys(names, pa.float32()), CLASS: pa.array(classes).type, MODEL: pa.string()})

    def check(self, found: pa.Schema, path: str) -> None:
        """Raise DataError unless there is each feature once, of the kind it had in training; others are passed over."""
        for column in self.scaler.schema.features:
            places = found.get_all_field_indices(column.name)
            if len(places) != 1:
                raise DataError(
                    f"{path}: column {column.name}: found it {len(places)} times, expected once, as the model was "
                    f"trained with it. Found {', '.join(found.names)}"
                )
            if not _fits(found.field(places[0]).type, column):
                raise DataError(
                    f"{path}: column {column.name}: found {found.field(places[0]).type}, expected {column.kind} as in training"
                )


def load(path: str | Path, *, factory: str = "mlp", device: str = "cpu") -> Predictor:
    """Load a published `checkpoint.pth`, or the champion of a model's folder, for prediction.

    Where its manifest lies beside it, its bytes have to be those that were published. A checkpoint names the function
    that builds its model. Only `mlp` or the `factory` given here is called, since a file from elsewhere could name any.
    Raise CheckpointError if the file is not whole or asks for another.
    """
    file = champion_path(Path(path)) if Path(path).is_dir() else Path(path)
    manifest = file.with_suffix(".json")
    digest = json.loads(manifest.read_bytes())["sha256"] if manifest.is_file() else atomic.digest(file)
    tree = checkpoint.read(file, digest)
    config = ModelConfig(**tree["config"]["model"])
    if config.factory != factory:
        raise CheckpointMismatchError(
            f"{file}: its model is built by {config.factory!r}, expected {factory!r}. "
            f"If you trust it, give factory={config.factory!r}"
        )
    scaler = Scaler.of_tree(tree["scaler"], file)
    with torch.random.fork_rng(devices=[]):
        model = build_model(config, scaler.features)
    checkpoint.check_shapes(tree["model_state_dict"], canonical(model.state_dict()), f"{file}: model_state_dict")
    checkpoint.check_finite(tree["model_state_dict"], f"{file}: model_state_dict")
    model.load_state_dict(tree["model_state_dict"])
    coded = tree["config"]["data"]["categories"]
    return Predictor(
        digest=digest,
        scaler=scaler,
        model=model.to(device).eval(),
        threads=tree["numerics"]["threads"],
        texts=tuple(codes.name for codes in scaler.categories if codes.name not in coded),
    )


def predict_files(predictor: Predictor, data_source: str, target: Path, keep: tuple[str, ...] = ()) -> Predictions:
    """Score a Parquet or CSV source into one Parquet file, a batch at a time; `keep` columns are copied before the predictions.

    The file takes its name when it is complete. Raise DataError before any row is scored if a column does not fit.
    """
    atomic.make_folder(target.parent)
    with _footers(predictor, data_source, target.parent) as footers:
        schema = _output_schema(predictor, footers, keep)
        names = [*keep, *(column.name for column in predictor.scaler.schema.features if column.name not in keep)]
        with Writer(target, schema) as writer:
            for rows in table.read([footer.file for footer in footers], names):
                found = predictor.predict_batch(rows.rows, rows.subject)
                kept = [rows.column(name).cast(schema.field(name).type) for name in keep]
                writer.write(pa.record_batch([*kept, *found.columns], schema=schema))
    return Predictions(path=str(target), digest=atomic.digest(target), rows=writer.rows, model=predictor.digest)


@contextmanager
def _footers(predictor: Predictor, data_source: str, folder: Path) -> Generator[list[Footer]]:
    """Yield the checked footers of a source; CSV is converted into a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix=".predict-", dir=folder) as converted:
        files = [
            as_parquet(file, Path(converted) / f"{number:05d}.parquet", predictor.texts)
            for number, file in enumerate(source.find_files(data_source))
        ]
        footers = read_footers(files)
        for footer in footers:
            predictor.check(footer.schema, footer.file.name)
        yield footers


def _output_schema(predictor: Predictor, footers: list[Footer], keep: tuple[str, ...]) -> pa.Schema:
    if taken := sorted(set(keep) & set(predictor.schema.names)):
        raise DataError(f"predict.keep: {', '.join(taken)}: a column of the predictions has this name; rename it")
    for footer in footers:
        if missing := [name for name in keep if name not in footer.schema.names]:
            raise DataError(f"{footer.file.name}: no column {', '.join(missing)} to keep")
    kept = [_kept_field(footers[0].schema.field(name)) for name in keep] if footers else []
    return pa.schema([*kept, *predictor.schema])


def _kept_field(field: pa.Field) -> pa.Field:
    return pa.field(field.name, field.type.value_type if pa.types.is_dictionary(field.type) else field.type)


def _fits(type: pa.DataType, column: Column) -> bool:
    plain = type.value_type if pa.types.is_dictionary(type) else type
    coded = column.kind == "category" and (pa.types.is_integer(plain) or pa.types.is_boolean(plain))
    return pa.types.is_null(plain) or coded or kind_of(plain) == column.kind


def _in_table(start: int) -> Subject:
    return lambda name, place: f"table: column {name}, row {start + place}"


def _plain(rows: pa.RecordBatch) -> pa.RecordBatch:
    columns = [column.dictionary_decode() if pa.types.is_dictionary(column.type) else column for column in rows.columns]
    return pa.RecordBatch.from_arrays(columns, names=rows.schema.names)


def _matrix(rows: pa.RecordBatch, names: list[str], type: Any) -> torch.Tensor:
    values = np.empty((rows.num_rows, len(names)), type)
    for place, name in enumerate(names):
        values[:, place] = rows.column(name).to_numpy(zero_copy_only=False)
    return torch.from_numpy(values)
