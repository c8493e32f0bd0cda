"""How sure a prediction is: intervals and sets of classes that hold the truth in the share of cases that is asked for.

Split conformal prediction (Vovk, Gammerman and Shafer, 2005; Lei et al., 2018; for classes Sadinle, Lei and Wasserman, 2019): how
far off a model is on rows that did not train it says how far off it will be on rows like them.
"""

import bisect
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from unbroken.batches.pieces import PIECE_ROWS, Splittable
from unbroken.config import TaskName
from unbroken.data.kinds import Float64
from unbroken.errors import ConfigError
from unbroken.features.encoder import LabelScale
from unbroken.models.forward import outputs_of

MOST_SCORES = 1000


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """How far off a model was on some rows.

    Attributes:
        rows: How many there were.
        ranks: Some of 1 .. rows, rising.
        scores: The errors of these ranks, rising: the distance from the label in its own unit, or one less the probability of the
            class that it was.
    """

    rows: int
    ranks: tuple[int, ...]
    scores: tuple[float, ...]

    def threshold(self, share: float) -> float:
        """Return the error that at least this share of new rows does not exceed; raise ConfigError if there were too few rows."""
        rank = math.ceil((self.rows + 1) * share)
        if rank > self.rows:
            needed = math.ceil(round(share / (1 - share), 6))
            raise ConfigError(
                f"interval: found {share}, which needs {needed} rows that validate; there were {self.rows}"
            )
        return self.scores[bisect.bisect_left(self.ranks, rank)]


def errors_of(model: nn.Module, rows: Splittable, task: TaskName, label: LabelScale) -> Float64:
    """Return how far off a model is on each of some rows, as `Calibration.scores`.

    Args:
        model: From numbers and codes to logits.
        rows: At least one.
        task: What is predicted.
        label: The label's scale.
    """
    pieces = []
    for piece in rows.split(PIECE_ROWS):
        _, predicted = outputs_of(model, piece, task)
        pieces.append(_errors(predicted.double(), piece.labels, task).cpu().numpy())
    return np.concatenate(pieces) * (label.deviation if task == "regression" else 1.0)


def _errors(predicted: Tensor, labels: Tensor, task: TaskName) -> Tensor:
    if task == "regression":
        return (predicted - labels).abs()
    if task == "binary":
        return torch.where(labels == 1, 1 - predicted, predicted)
    return 1 - predicted.gather(1, labels.long().unsqueeze(1)).squeeze(1)


def calibrate(errors: Float64) -> Calibration | None:
    """Return what the errors on rows that did not train say of others; None if some are no finite numbers."""
    rows = len(errors)
    if not rows or not np.isfinite(errors).all():
        return None
    ranks = np.unique(np.ceil(np.linspace(1, rows, min(rows, MOST_SCORES))).astype(int))
    return Calibration(rows=rows, ranks=tuple(ranks.tolist()), scores=tuple(np.sort(errors)[ranks - 1].tolist()))
