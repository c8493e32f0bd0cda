"""Score raw rows with a published checkpoint: its encoder, its model, and the bits of its evaluation."""

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from torch import nn

from unbroken.checkpoints.compatibility import check_weights
from unbroken.checkpoints.published import read_published
from unbroken.config import ModelConfig
from unbroken.csv.reading import Reading
from unbroken.data.dictionary import decode_column, value_type
from unbroken.data.kinds import CATEGORY, Subject, can_be_coded, kind_of
from unbroken.data.parquet import BATCH_ROWS
from unbroken.data.schema import Column
from unbroken.errors import ConfigError, DataError
from unbroken.evaluation.conformal import Calibration
from unbroken.features.encoder import Encoder
from unbroken.features.learnt import data_config, learnt_reading
from unbroken.features.learnt_kinds import ALIKE, as_kind
from unbroken.models.mlp import MLP
from unbroken.models.raw_rows import outputs_of_raw_rows
from unbroken.serving.code_check import CodeCheck
from unbroken.serving.computing import compute, compute_in_order
from unbroken.serving.registry import champion_path
from unbroken.serving.signature import public_key_of, require_signature
from unbroken.serving.tables import as_table
from unbroken.serving.trust import require_trusted
from unbroken.storage.artifact import from_json
from unbroken.storage.publication import find_manifest, read_manifest
from unbroken.training.rebuilding import rebuild

PROBABILITY, CLASS, VALUE, MODEL = "probability", "class", "value", "model"
LOW, HIGH, CLASSES = "low", "high", "classes"
"""What holds the truth in the share of cases that is asked for: two numbers, or a list of classes."""


@dataclass(frozen=True, kw_only=True)
class Predictor:
    """A published model that scores raw rows.

    Attributes:
        digest: The SHA-256 of its checkpoint.
        config: What built the network.
        encoder: Turns raw rows into the model's inputs, as fitted in training.
        model: The network, set to evaluation.
        threads: The number of threads it was trained with; the bits depend on it.
        reading: How rows are read from CSV: by what training learnt of its columns.
        error: How far off a prediction is at most in the share of cases that is asked for; None where nobody asks.
    """

    digest: str
    config: ModelConfig
    encoder: Encoder
    model: nn.Module
    threads: int
    reading: Reading
    error: float | None = None

    def predict(self, rows: Any) -> pa.Table:
        """Score raw rows.

        Args:
            rows: An Arrow table or batch, a pandas frame, a dict of columns, a list of rows as dicts, or one row as a dict or
                a pandas Series, with the features of training; no label is needed, and further columns are passed over.

        Returns:
            One row for each row, in their order. Binary: `probability` of the second class. Multiclass:
            `probability_<class>` each. Both: `class`, the likeliest. Regression: `value` in the label's own unit.
            And `model`, the digest of the checkpoint. With an interval, before it, `low` and `high`, or `classes`.

        Raises:
            DataError: A feature is missing, of another kind than in training, or infinite, or the rows do not name
                their columns.
        """
        table = as_table(rows, [column.name for column in self.encoder.schema.features])
        self.check(table.schema, "table")
        batches, start = [], 0
        for batch in table.combine_chunks().to_batches(BATCH_ROWS):
            batches.append(self.predict_batch(batch, _table_subject(start)))
            start += batch.num_rows
        return pa.Table.from_batches(batches, self.schema)

    def predict_batch(self, rows: pa.RecordBatch, subject: Subject) -> pa.RecordBatch:
        """Return what `predict` does for one batch; `subject` names a value of it in messages."""
        outputs, classes = self.outputs(rows, subject), self.encoder.schema.classes
        model = pa.repeat(pa.scalar(self.digest), rows.num_rows)
        sure = self._sure(outputs)
        if not classes:
            return pa.record_batch([pa.array(outputs), *sure, model], schema=self.schema)
        codes = outputs > 0.5 if outputs.ndim == 1 else outputs.argmax(axis=1)
        labels = pa.array(classes).take(pa.array(codes.astype(np.int64)))
        probabilities = [pa.array(column) for column in np.atleast_2d(outputs.T)]
        return pa.record_batch([*probabilities, labels, *sure, model], schema=self.schema)

    def _sure(self, outputs: NDArray[Any]) -> list[pa.Array]:
        """Return what holds the truth in the share of cases that is asked for; the likeliest class always does."""
        classes = self.encoder.schema.classes
        if self.error is None:
            return []
        if not classes:
            return [pa.array(outputs - self.error), pa.array(outputs + self.error)]
        probabilities = np.stack([1 - outputs, outputs], axis=1) if outputs.ndim == 1 else outputs
        held = 1 - probabilities.astype(np.float64) <= self.error
        held |= probabilities == probabilities.max(axis=1, keepdims=True)
        rows, columns = np.nonzero(held)
        offsets = np.searchsorted(rows, np.arange(len(outputs) + 1))
        return [pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(classes).take(pa.array(columns)))]

    def outputs(self, rows: pa.RecordBatch, subject: Subject) -> NDArray[Any]:
        """Return the model's outputs for raw rows.

        Returns:
            Binary: float32 [rows], the probability of the second class. Multiclass: float32 [rows, classes].
            Regression: float64 [rows] in the label's own unit.
        """
        rows = self.as_learnt(rows, subject)
        own = type(self.model) is not MLP
        return outputs_of_raw_rows(
            self.model, self.encoder, rows, subject, partial(compute_in_order if own else compute, self.threads)
        )

    def as_learnt(self, rows: pa.RecordBatch, subject: Subject) -> pa.RecordBatch:
        """Return the features of rows as the kinds that training learnt: dates that are kept as text are dates."""
        columns = [
            as_kind(decode_column(rows.column(column.name)), column.name, column.kind, subject)
            for column in self.encoder.schema.features
        ]
        return pa.RecordBatch.from_arrays(columns, names=[column.name for column in self.encoder.schema.features])

    @property
    def schema(self) -> pa.Schema:
        """The columns of predictions."""
        classes, task = self.encoder.schema.classes, self.encoder.schema.task
        if task == "regression":
            sure = {LOW: pa.float64(), HIGH: pa.float64()} if self.error is not None else {}
            return pa.schema({VALUE: pa.float64(), **sure, MODEL: pa.string()})
        names = [PROBABILITY] if task == "binary" else [f"{PROBABILITY}_{value}" for value in classes]
        kind = pa.array(classes).type
        sure = {CLASSES: pa.list_(kind)} if self.error is not None else {}
        return pa.schema({**dict.fromkeys(names, pa.float32()), CLASS: kind, **sure, MODEL: pa.string()})

    def check(self, schema: pa.Schema, path: str) -> None:
        """Raise DataError unless there is each feature once, of the kind it had in training; others are passed over."""
        for column in self.encoder.schema.features:
            indices = schema.get_all_field_indices(column.name)
            if len(indices) != 1:
                raise DataError(
                    f"{path}: column {column.name}: found it {len(indices)} times, expected once, as the model was "
                    f"trained with it. Found {', '.join(schema.names)}"
                )
            type = schema.field(indices[0]).type
            if not _fits(type, column):
                raise DataError(f"{path}: column {column.name}: found {type}, expected {column.kind} as in training")


def load_predictor(
    path: str | Path,
    *,
    factory: str | None = None,
    device: str = "cpu",
    accept_code: bool = False,
    interval: float | None = None,
    project: Path | None = None,
    public_key: str | None = None,
) -> Predictor:
    """Load a published model for prediction.

    Args:
        path: A `checkpoint.pth`, or a model's folder, of which the champion is loaded. Where the manifest lies beside the
            checkpoint, its bytes have to be those that were published.
        factory: The function that builds the model. A checkpoint names its own, but a file from elsewhere could name any: so
            only the one given here is called, and without one `mlp` or, for the champion of a registry in the project, that
            which it was promoted with, if it is the project's and its source has not changed.
        device: Where the model computes, as torch names it.
        accept_code: Whether to go on where this code gives other outputs than were recorded when the model was published.
        interval: The share of cases in which `low` .. `high`, or `classes`, are to hold the truth, if they are wanted.
        project: The folder of the project; the present one when not given.
        public_key: PEM file of the key whose owner has to have signed checkpoint and manifest. When not given, a version of a
            registry is verified with the key that UNBROKEN_PUBLIC_KEY names, if it names one.

    Raises:
        CheckpointError: The file is not whole, or names a factory that may not be called.
        CodeChangedError: Other code trained the model, and gives other outputs.
        LockedError: Another thread of the process is training, and the model is built by a factory of the user's own.
        RegistryError: The folder has no champion.
        SignatureError: It is not signed by the owner of the key.
    """
    registry = Path(path) if Path(path).is_dir() else None
    file = champion_path(registry) if registry else Path(path)
    tree, digest = read_published(file)
    if key := public_key_of(public_key, file):
        require_signature(file, digest, key)
    config = ModelConfig(**tree["config"]["model"])
    require_trusted(file, digest, config.factory, factory, registry, project or Path.cwd())
    encoder, threads = Encoder.of_tree(tree["scaler"], file), tree["numerics"]["threads"]
    code = CodeCheck.read(file, digest, config.factory)
    with code.explaining():
        training = tree["config"]["training"]
        model = rebuild(config, encoder.features, training["seed"], str(file), training.get("members", 1))
        check_weights(tree["model_state_dict"], model, f"{file}: model_state_dict")
    model.load_state_dict(tree["model_state_dict"])
    code.require_outputs(model.eval(), encoder, threads, accept=accept_code)
    return Predictor(
        digest=digest,
        config=config,
        encoder=encoder,
        model=model.to(device),
        threads=threads,
        reading=learnt_reading(encoder, data_config(tree["config"]["data"], file)),
        error=_calibration(file, digest).threshold(interval) if interval is not None else None,
    )


def _calibration(file: Path, digest: str) -> Calibration:
    """Return how far off a published model was on the rows that validated; raise ConfigError if none did."""
    path = find_manifest(file, digest)
    told = read_manifest(path).get("calibration") if path else None
    if not isinstance(told, dict):
        raise ConfigError(
            f"{file}: interval: no rows validated this model, so nobody knows how sure it is. Train it with a "
            f"split.validation_fraction above 0"
        )
    return from_json(Calibration, json.dumps(told.get("errors")).encode(), str(path))


def _fits(type: pa.DataType, column: Column) -> bool:
    """Tell whether some values of a type may be of a column's kind; which are, each batch shows."""
    values = value_type(type)
    kind = kind_of(values)
    if column.coded:
        return pa.types.is_null(values) or can_be_coded(values)
    return pa.types.is_null(values) or kind in (column.kind, CATEGORY) or {kind, column.kind} in ALIKE


def _table_subject(first_row: int) -> Subject:
    return lambda name, row: f"table: column {name}, row {first_row + row}"
