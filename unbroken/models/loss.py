"""The loss of a batch."""

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from unbroken.config import TaskName


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
