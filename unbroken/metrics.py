"""How good a model is: the same numbers, to the bit, for the same weights and rows."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from torchmetrics.functional import classification, regression

from unbroken.batches import Rows
from unbroken.config import TaskName
from unbroken.model import predictions
from unbroken.scaler import LabelScale

CHUNK_ROWS = 1 << 10
"""Rows in every pass of a model outside training. A matrix product of another number of rows rounds differently."""

Metrics = dict[str, float]

METRICS_OF: dict[TaskName, tuple[str, ...]] = {
    "binary": ("loss", "accuracy", "auroc", "f1"),
    "multiclass": ("loss", "accuracy", "auroc", "f1"),
    "regression": ("loss", "rmse", "mae", "r2"),
}


def loss_of(
    logits: Float[Tensor, "batch outputs"], labels: Tensor, task: TaskName, class_weights: Tensor | None = None
) -> Float[Tensor, ""]:
    """Return the mean loss of a batch: cross-entropy for classes, squared error of standardised values for regression.

    With class weights each row counts by the weight of its class, and the mean is taken over the rows.
    """
    if task == "regression":
        return functional.mse_loss(logits.squeeze(1), labels)
    if class_weights is None:
        if task == "binary":
            return functional.binary_cross_entropy_with_logits(logits.squeeze(1), labels)
        return functional.cross_entropy(logits, labels)
    if task == "binary":
        losses = functional.binary_cross_entropy_with_logits(logits.squeeze(1), labels, reduction="none")
    else:
        losses = functional.cross_entropy(logits, labels, reduction="none")
    return (losses * class_weights[labels.long()]).mean()


@torch.no_grad()
def evaluate(model: nn.Module, rows: Rows, task: TaskName, label: LabelScale) -> Metrics:
    """Return the loss and the metrics of a model on some rows; the model's mode is left as it was.

    Binary: accuracy, auroc, f1 at probability 0.5. Multiclass: accuracy, macro auroc, macro f1.
    Regression: rmse, mae (in the label's own unit) and r2. A metric that the rows do not define is NaN.
    """
    logits, predicted = outputs_of(model, rows, task)
    found = {"loss": loss_of(logits.double(), rows.labels if task == "multiclass" else rows.labels.double(), task)}
    if task == "regression":
        found |= _regression(predicted, rows.labels, label)
    else:
        found |= _classification(predicted, rows.labels.long(), task, logits.shape[1])
    return {name: float(value) for name, value in found.items()}


@torch.no_grad()
def outputs_of(model: nn.Module, rows: Rows, task: TaskName) -> tuple[Float[Tensor, "rows outputs"], Tensor]:
    """Return the logits of some rows and what `predictions` makes of them; the model's mode is left as it was.

    Every chunk has CHUNK_ROWS rows, the last one filled up, so that the values of a row are the same bits whatever
    rows stand around it: a row alone, a file and an evaluation agree.
    """
    training = model.training
    model.eval()
    starts = range(0, max(1, len(rows)), CHUNK_ROWS)
    chunks = [_chunk(model, rows.slice(start, start + CHUNK_ROWS), task) for start in starts]
    model.train(training)
    return torch.cat([logits for logits, _ in chunks]), torch.cat([predicted for _, predicted in chunks])


def _chunk(model: nn.Module, rows: Rows, task: TaskName) -> tuple[Tensor, Tensor]:
    count = len(rows)
    numbers, codes = (functional.pad(part, (0, 0, 0, CHUNK_ROWS - count)) for part in (rows.numbers, rows.codes))
    logits = model(numbers, codes)
    return logits[:count], predictions(logits, task)[:count]


def _classification(probabilities: Tensor, labels: Tensor, task: TaskName, classes: int) -> dict[str, Tensor]:
    missing_classes = len(labels.unique()) < max(2, classes)
    undefined = torch.tensor(float("nan"))
    if task == "binary":
        return {
            "accuracy": classification.binary_accuracy(probabilities, labels),
            "auroc": undefined if missing_classes else classification.binary_auroc(probabilities, labels),
            "f1": classification.binary_f1_score(probabilities, labels),
        }
    return {
        "accuracy": classification.multiclass_accuracy(probabilities, labels, classes, average="micro"),
        "auroc": undefined if missing_classes else classification.multiclass_auroc(probabilities, labels, classes),
        "f1": classification.multiclass_f1_score(probabilities, labels, classes, average="macro"),
    }


def _regression(values: Tensor, labels: Tensor, label: LabelScale) -> dict[str, Tensor]:
    found, expected = (part.double() * label.deviation + label.mean for part in (values, labels))
    r2 = regression.r2_score(found, expected) if len(expected) > 1 else torch.tensor(float("nan"))
    return {
        "rmse": regression.mean_squared_error(found, expected, squared=False),
        "mae": regression.mean_absolute_error(found, expected),
        "r2": r2,
    }
