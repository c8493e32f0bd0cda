"""Score raw rows with a published checkpoint: its own encoder, its own model, the values its evaluation saw, to the bit."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import nn

from unbroken.batches.rows import Rows, to_matrix
from unbroken.checkpoints.compatibility import check_finite, check_shapes
from unbroken.checkpoints.format import read_checkpoint
from unbroken.checkpoints.tree import canonical
from unbroken.config import ModelConfig
from unbroken.data.kinds import Subject, can_be_coded, kind_of
from unbroken.data.parquet import BATCH_ROWS
from unbroken.data.schema import Column
from unbroken.errors import CheckpointMismatchError, DataError
from unbroken.features.encoder import Encoder
from unbroken.models.factory import build_model
from unbroken.models.forward import outputs_of
from unbroken.serving.registry import champion_path
from unbroken.storage import atomic
from unbroken.training.determinism import reproducible

PROBABILITY, CLASS, VALUE, MODEL = "probability", "class", "value", "model"


@dataclass(frozen=True, kw_only=True)
class Predictor:
    """A model with its encoder; `digest` is the SHA-256 of the checkpoint, `threads` those it was trained with."""

    digest: str
    encoder: Encoder
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
        for batch in given.combine_chunks().to_batches(BATCH_ROWS):
            batches.append(self.predict_batch(batch, _in_table(start)))
            start += batch.num_rows
        return pa.Table.from_batches(batches, self.schema)

    def predict_batch(self, rows: pa.RecordBatch, subject: Subject) -> pa.RecordBatch:
        """Return the predictions for some raw rows."""
        found, classes = self.outputs(rows, subject), self.encoder.schema.classes
        model = pa.repeat(pa.scalar(self.digest), rows.num_rows)
        if not classes:
            return pa.record_batch([pa.array(found), model], schema=self.schema)
        chosen = found > 0.5 if found.ndim == 1 else found.argmax(axis=1)
        labels = pa.array(classes).take(pa.array(chosen.astype(np.int64)))
        probabilities = [pa.array(column) for column in np.atleast_2d(found.T)]
        return pa.record_batch([*probabilities, labels, model], schema=self.schema)

    def outputs(self, rows: pa.RecordBatch, subject: Subject) -> NDArray[Any]:
        """Return float32 probabilities ([rows] of the second class, [rows, classes]) or float64 values for raw rows."""
        features, label = self.encoder.features, self.encoder.label
        inputs = self.encoder.transform_inputs(_plain(rows), subject)
        count, names = rows.num_rows, features.category_names
        numbers = to_matrix(inputs, features.numbers, np.empty((count, len(features.numbers)), np.float32))
        codes = to_matrix(inputs, names, np.empty((count, len(names)), np.int64))
        device = next(self.model.parameters()).device
        with reproducible(self.threads):
            batch = Rows(torch.from_numpy(numbers), torch.from_numpy(codes), torch.empty(count)).to(device)
            _, found = outputs_of(self.model, batch, features.task)
        if features.task == "regression":
            found = found.double() * label.deviation + label.mean
        return found.cpu().numpy()

    @property
    def schema(self) -> pa.Schema:
        """The columns of predictions."""
        classes, task = self.encoder.schema.classes, self.encoder.schema.task
        if task == "regression":
            return pa.schema({VALUE: pa.float64(), MODEL: pa.string()})
        names = [PROBABILITY] if task == "binary" else [f"{PROBABILITY}_{value}" for value in classes]
        return pa.schema({**dict.fromkeys(names, pa.float32()), CLASS: pa.array(classes).type, MODEL: pa.string()})

    def check(self, found: pa.Schema, path: str) -> None:
        """Raise DataError unless there is each feature once, of the kind it had in training; others are passed over."""
        for column in self.encoder.schema.features:
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


def load_predictor(path: str | Path, *, factory: str = "mlp", device: str = "cpu") -> Predictor:
    """Load a published `checkpoint.pth`, or the champion of a model's folder, for prediction.

    Where its manifest lies beside it, its bytes have to be those that were published. A checkpoint names the function
    that builds its model. Only `mlp` or the `factory` given here is called, since a file from elsewhere could name any.
    Raise CheckpointError if the file is not whole or asks for another.
    """
    file = champion_path(Path(path)) if Path(path).is_dir() else Path(path)
    manifest = file.with_suffix(".json")
    digest = json.loads(manifest.read_bytes())["sha256"] if manifest.is_file() else atomic.digest(file)
    tree = read_checkpoint(file, digest)
    config = ModelConfig(**tree["config"]["model"])
    if config.factory != factory:
        raise CheckpointMismatchError(
            f"{file}: its model is built by {config.factory!r}, expected {factory!r}. "
            f"If you trust it, give factory={config.factory!r}"
        )
    encoder = Encoder.of_tree(tree["scaler"], file)
    with torch.random.fork_rng(devices=[]):
        model = build_model(config, encoder.features)
    check_shapes(tree["model_state_dict"], canonical(model.state_dict()), f"{file}: model_state_dict")
    check_finite(tree["model_state_dict"], f"{file}: model_state_dict")
    model.load_state_dict(tree["model_state_dict"])
    coded = tree["config"]["data"]["categories"]
    return Predictor(
        digest=digest,
        encoder=encoder,
        model=model.to(device).eval(),
        threads=tree["numerics"]["threads"],
        texts=tuple(codes.name for codes in encoder.categories if codes.name not in coded),
    )


def _fits(type: pa.DataType, column: Column) -> bool:
    plain = type.value_type if pa.types.is_dictionary(type) else type
    coded = column.coded and can_be_coded(plain)
    return pa.types.is_null(plain) or coded or kind_of(plain) == column.kind


def _in_table(start: int) -> Subject:
    return lambda name, place: f"table: column {name}, row {start + place}"


def _plain(rows: pa.RecordBatch) -> pa.RecordBatch:
    columns = [column.dictionary_decode() if pa.types.is_dictionary(column.type) else column for column in rows.columns]
    return pa.RecordBatch.from_arrays(columns, names=rows.schema.names)
