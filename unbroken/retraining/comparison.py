"""Champion and challenger score the same raw rows, each through its own preprocessing, and the gate judges.

Rows scaled by one model's encoder and given to the other mean something else to it: in a comparison made so, a worse
challenger wins often.
"""

import numpy as np
import pyarrow as pa

from unbroken.config import RetrainConfig
from unbroken.data.dataset import Dataset
from unbroken.data.kinds import as_texts
from unbroken.data.parquet import read_slices
from unbroken.data.schema import ClassValue
from unbroken.errors import DataError
from unbroken.features.encoder import LabelScale
from unbroken.models.scores import Predicted
from unbroken.retraining import gate
from unbroken.retraining.datasets import CycleDatasets
from unbroken.retraining.gate import Verdict
from unbroken.retraining.new_data import Cycle
from unbroken.serving.prediction import Predictor, load_predictor
from unbroken.storage.artifact import Artifact


def compare_models(found: Cycle, prepared: CycleDatasets, challenger: Artifact, config: RetrainConfig) -> Verdict:
    """Judge a challenger on the held-out new rows, against the champion or, without one, against the constant best guess."""
    factory, device = config.train.model.factory, config.train.training.device
    ours = load_predictor(challenger.path, factory=factory, device=device)
    theirs = load_predictor(found.champion.path, factory=factory, device=device) if found.champion else None
    classes = _classes([ours, theirs] if theirs else [ours])
    label = LabelScale(column=prepared.schema.label, classes=classes, mean=0.0, deviation=1.0)
    labels = _labels([prepared.test], label)
    before = (
        score_rows(theirs, prepared.test, classes)
        if theirs
        else _guess(_labels(prepared.training, label), labels, classes)
    )
    slices = {name: _texts(prepared.test, name) for name in config.gate.slices}
    try:
        return gate.judge(
            before, score_rows(ours, prepared.test, classes), labels, prepared.schema.task, config.gate, slices
        )
    except DataError as error:
        raise DataError(f"{found.data}: {error}") from error


def score_rows(model: Predictor, rows: Dataset, classes: tuple[ClassValue, ...]) -> Predicted:
    """Return [rows, classes] probabilities, 0 for a class that the model does not know, or [rows] values."""
    names = [column.name for column in model.encoder.schema.features]
    found = np.concatenate([model.outputs(part.rows, part.subject) for part in read_slices([rows.file], names)])
    found = found.astype(np.float64)
    if not classes:
        return found
    own = np.stack([1 - found, found], axis=1) if found.ndim == 1 else found
    known = model.encoder.schema.classes
    return np.stack([own[:, known.index(value)] if value in known else np.zeros(len(own)) for value in classes], axis=1)


def _classes(models: list[Predictor]) -> tuple[ClassValue, ...]:
    return tuple(sorted({value for model in models for value in model.encoder.schema.classes}))


def _labels(datasets: list[Dataset], label: LabelScale) -> np.ndarray:
    """Return class codes, or values in the label's own unit."""
    name = label.column.name
    slices = read_slices([dataset.file for dataset in datasets], [name])
    parts = [label.transform(part.column(name), part.subject).to_numpy() for part in slices]
    found = np.concatenate(parts)
    return found if label.classes else found.astype(np.float64)


def _guess(training: np.ndarray, labels: np.ndarray, classes: tuple[ClassValue, ...]) -> Predicted:
    """Return for each row the shares of the classes, or the mean, of the training rows."""
    if not classes:
        return np.full(len(labels), training.mean())
    return np.tile(np.bincount(training, minlength=len(classes)) / len(training), (len(labels), 1))


def _texts(rows: Dataset, name: str) -> np.ndarray:
    parts = [as_texts(part.column(name)).fill_null("missing") for part in read_slices([rows.file], [name])]
    return pa.chunked_array(parts).to_numpy().astype(str)
