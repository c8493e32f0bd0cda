"""What the published model of a run gives for rows that test it, and how much worse it is without a column."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from unbroken.batches.rows import Rows
from unbroken.charts.rows import SEED, HeldOutRows
from unbroken.config import TaskName
from unbroken.data.permutation import Permutation, derive
from unbroken.models.forward import outputs_of
from unbroken.reproducibility.determinism import reproducible
from unbroken.serving.prediction import load_predictor

IMPORTANCE_ROWS, REPEATS, MOST_SCORED = 4096, 3, 2_000_000
"""Rows in which a column is shuffled, how often, and how many rows may be scored for all columns together."""
SMALLEST = 1e-12
Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What a model gives for some rows.

    Attributes:
        predicted: [rows] probabilities of class 1 of two, [rows, classes] probabilities, or [rows] values in the label's own unit.
        labels: [rows] class codes, or values in the label's own unit.
        losses: [rows] the negative logarithm of the probability of the true class, or the absolute error.
    """

    predicted: Array
    labels: Array
    losses: Array

    @property
    def probabilities(self) -> Array:
        """Probabilities as [rows, classes]."""
        return np.stack([1 - self.predicted, self.predicted], 1) if self.predicted.ndim == 1 else self.predicted


@dataclass(frozen=True, kw_only=True)
class Importance:
    """How much larger the mean loss is where a column's values stand in other rows: the mean of some tries, and their spread."""

    column: str
    rise: float
    deviation: float


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """A published model."""

    model: nn.Module
    task: TaskName
    device: torch.device
    mean: float
    deviation: float

    def score(self, rows: HeldOutRows) -> Scores:
        """Score rows."""
        return self._scores(rows.numbers, rows.codes, rows.labels)

    def importances(self, rows: HeldOutRows) -> list[Importance]:
        """Return how much each column of the source matters, by permuting it in some of the rows (Breiman, 2001).

        All inputs that stem from a column move together. Of very many columns only the first are tried.
        """
        few = np.sort(Permutation(len(rows), derive(SEED, "importance")).at(0, min(len(rows), IMPORTANCE_ROWS)))
        numbers, codes, labels = rows.numbers[few], rows.codes[few], rows.labels[few]
        whole = self._scores(numbers, codes, labels).losses.mean()
        columns = [(scale.name, rows.positions(scale), []) for scale in rows.encoder.numbers]
        columns += [(scale.name, [], [index]) for index, scale in enumerate(rows.encoder.categories)]
        importances = []
        for name, moved, moved_codes in columns[: max(1, MOST_SCORED // (len(few) * REPEATS))]:
            losses = []
            for repeat in range(REPEATS):
                order = Permutation(len(few), derive(SEED, "importance", name, repeat)).at(0, len(few))
                losses.append(self._shuffled(numbers, codes, labels, moved, moved_codes, order).losses.mean() - whole)
            importances.append(Importance(column=name, rise=float(np.mean(losses)), deviation=float(np.std(losses))))
        return sorted(importances, key=lambda importance: -importance.rise)

    def _shuffled(
        self, numbers: Array, codes: Array, labels: Array, moved: list[int], moved_codes: list[int], order: Array
    ) -> Scores:
        numbers, codes = numbers.copy(), codes.copy()
        numbers[:, moved], codes[:, moved_codes] = numbers[order][:, moved], codes[order][:, moved_codes]
        return self._scores(numbers, codes, labels)

    def _scores(self, numbers: Array, codes: Array, labels: Array) -> Scores:
        parts = (torch.from_numpy(part) for part in (numbers, codes, labels))
        _, outputs = outputs_of(self.model, Rows(*parts).to(self.device), self.task)
        predicted = outputs.double().cpu().numpy()
        if self.task == "regression":
            predicted, labels = (part * self.deviation + self.mean for part in (predicted, labels))
            return Scores(predicted=predicted, labels=labels, losses=np.abs(predicted - labels))
        codes_of_labels = labels.astype(np.int64)
        if self.task == "binary":
            true = np.where(codes_of_labels == 1, predicted, 1 - predicted)
        else:
            true = np.take_along_axis(predicted, codes_of_labels[:, None], 1)[:, 0]
        losses = -np.log(np.clip(true, SMALLEST, 1))
        return Scores(predicted=predicted, labels=codes_of_labels, losses=losses)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Rows that test, what the published model gives for them, and what drives it."""

    rows: HeldOutRows
    scores: Scores
    importances: list[Importance]


def measure(published: Path, test: Path, factory: str | None, device: str) -> Measured:
    """Score rows that test with a published model.

    Args:
        published: The checkpoint.
        test: The preprocessed rows of its run that test.
        factory: What builds the model, if the caller trusts it: see `load_predictor`.
        device: Where the model computes; the processor where there is no such device.
    """
    place = _device(device)
    predictor = load_predictor(published, factory=factory, device=str(place), accept_code=True)
    encoder = predictor.encoder
    with reproducible(predictor.threads):
        rows = HeldOutRows.read(test, encoder)
        label = encoder.label
        scorer = Scorer(
            model=predictor.model,
            task=encoder.schema.task,
            device=place,
            mean=label.mean,
            deviation=label.deviation,
        )
        return Measured(rows=rows, scores=scorer.score(rows), importances=scorer.importances(rows))


def _device(name: str) -> torch.device:
    try:
        return torch.zeros((), device=name).device
    except (RuntimeError, AssertionError):
        return torch.device("cpu")
