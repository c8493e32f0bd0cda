"""Champion and challenger score the same raw rows, each through its own preprocessing, and the gate judges.

Rows scaled by one model's encoder and given to the other mean something else to it: in a comparison made so, a worse
challenger wins often.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from unbroken.checkpoints.published import read_published
from unbroken.config import RetrainConfig
from unbroken.data.dataset import Dataset, Slice
from unbroken.data.kinds import as_texts
from unbroken.data.parquet import read_slices
from unbroken.data.schema import ClassValue, Column
from unbroken.data.verification import read_verified
from unbroken.errors import DataError
from unbroken.evaluation.scores import Labels, Predicted
from unbroken.features.encoder import Encoder, LabelScale
from unbroken.features.learnt_kinds import as_kind
from unbroken.retraining import gate
from unbroken.retraining.datasets import CycleDatasets
from unbroken.retraining.gate import Verdict
from unbroken.retraining.new_data import Cycle
from unbroken.retraining.start import champion_factory
from unbroken.serving.prediction import Predictor, load_predictor
from unbroken.serving.registry import Version
from unbroken.storage.artifact import Artifact


@dataclass(frozen=True, kw_only=True)
class BothPredicted:
    """What champion and challenger give for the rows that judge.

    Attributes:
        champion: The predictions of the champion, or of a constant guess.
        challenger: Those of the challenger.
        labels: Class codes, or values, [rows].
        classes: Those that either of them knows, in the order of the codes; none where values are predicted.
        encoder: What preprocesses the challenger's rows.
    """

    champion: Predicted
    challenger: Predicted
    labels: Labels
    classes: tuple[ClassValue, ...]
    encoder: Encoder


def compare_models(cycle: Cycle, datasets: CycleDatasets, challenger: Artifact, config: RetrainConfig) -> Verdict:
    """Judge a challenger on the held-out new rows, against the champion or, without one, against a constant guess.

    Args:
        cycle: Names the champion.
        datasets: The rows that judge; those that trained make the constant guess.
        challenger: A published checkpoint.
        config: How models are loaded and judged.

    Raises:
        DataError: The rows that judge do not define the metric, or the rows are not those that were prepared.
    """
    files = [dataset.file for dataset in (datasets.test, *datasets.training)]
    return read_verified(files, lambda: _compare(cycle, datasets, challenger, config))


def _compare(cycle: Cycle, datasets: CycleDatasets, challenger: Artifact, config: RetrainConfig) -> Verdict:
    both = predict_both(cycle, datasets, challenger, config)
    slices = {name: _texts(datasets.test, name) for name in config.gate.slices}
    try:
        return gate.judge(both.champion, both.challenger, both.labels, datasets.schema.task, config.gate, slices)
    except DataError as error:
        raise DataError(f"{cycle.data}: {error}") from error


def predict_both(cycle: Cycle, datasets: CycleDatasets, challenger: Artifact, config: RetrainConfig) -> BothPredicted:
    """Return what both models give for the rows that judge; see `compare_models`."""
    challenger_model = _load(challenger.path, datasets.config.model.factory, config)
    champion_model = load_champion(cycle.rival, config) if cycle.rival else None
    classes = _classes([challenger_model, champion_model] if champion_model else [challenger_model])
    label = LabelScale(column=datasets.schema.label, classes=classes, mean=0.0, deviation=1.0)
    labels = _labels([datasets.test], label)
    champion_predictions = (
        score_rows(champion_model, datasets.test, classes)
        if champion_model
        else _constant_predictions(_labels(datasets.training, label), labels, classes)
    )
    return BothPredicted(
        champion=champion_predictions,
        challenger=score_rows(challenger_model, datasets.test, classes),
        labels=labels,
        classes=classes,
        encoder=challenger_model.encoder,
    )


def score_rows(model: Predictor, rows: Dataset, classes: tuple[ClassValue, ...]) -> Predicted:
    """Return the predictions for raw rows: [rows, classes] probabilities, 0 for a class unknown to the model, or [rows] values."""
    features = model.encoder.schema.features
    parts = [
        model.outputs(as_learnt(part, features), part.subject)
        for part in read_slices([rows.file], [column.name for column in features])
    ]
    outputs = np.concatenate(parts).astype(np.float64)
    if not classes:
        return outputs
    probabilities = np.stack([1 - outputs, outputs], axis=1) if outputs.ndim == 1 else outputs
    unknown, own_classes = np.zeros(len(outputs)), model.encoder.schema.classes
    columns = [probabilities[:, own_classes.index(value)] if value in own_classes else unknown for value in classes]
    return np.stack(columns, axis=1)


def load_champion(champion: Version, config: RetrainConfig) -> Predictor:
    """Load a champion by the factory that built it."""
    path = Path(champion.path)
    tree, digest = read_published(path)
    return _load(path, champion_factory(tree, digest, path, config), config)


def _load(path: str | Path, factory: str, config: RetrainConfig) -> Predictor:
    train = config.train
    return load_predictor(path, factory=factory, device=train.training.device, accept_code=train.resume.accept_code)


def as_learnt(part: Slice, features: tuple[Column, ...]) -> pa.RecordBatch:
    """Return the features of raw rows as the kinds that a model learnt."""
    arrays = [as_kind(part.column(column.name), column.name, column.kind, part.subject) for column in features]
    return pa.RecordBatch.from_arrays(arrays, names=[column.name for column in features])


def _classes(models: list[Predictor]) -> tuple[ClassValue, ...]:
    return tuple(sorted({value for model in models for value in model.encoder.schema.classes}))


def _labels(datasets: list[Dataset], label: LabelScale) -> np.ndarray:
    """Return class codes, or values in the label's own unit."""
    name = label.column.name
    slices = read_slices([dataset.file for dataset in datasets], [name])
    parts = [label.transform(part.column(name), part.subject).to_numpy() for part in slices]
    labels = np.concatenate(parts)
    return labels if label.classes else labels.astype(np.float64)


def _constant_predictions(training: np.ndarray, labels: np.ndarray, classes: tuple[ClassValue, ...]) -> Predicted:
    """Return for each row the shares of the classes, or the mean, of the training rows."""
    if not classes:
        return np.full(len(labels), training.mean())
    return np.tile(np.bincount(training, minlength=len(classes)) / len(training), (len(labels), 1))


def _texts(rows: Dataset, name: str) -> np.ndarray:
    parts = [
        as_texts(part.column(name), name, part.subject).fill_null("missing")
        for part in read_slices([rows.file], [name])
    ]
    return pa.chunked_array(parts).to_numpy().astype(str)
