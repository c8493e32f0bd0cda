"""The gradients of a batch: by autograd for any model, written out for the MLP."""

from typing import Protocol

from jaxtyping import Float
from torch import Tensor, nn

from unbroken.batches.rows import Rows
from unbroken.config import TaskName
from unbroken.models.loss import loss_of
from unbroken.models.mlp import MLP
from unbroken.optimization.mlp_gradient import MLPGradient


class Gradient(Protocol):
    """Puts the gradient of a batch's loss into each parameter's `grad`."""

    def prepare(self, block: Rows) -> Rows:
        """Return what `__call__` takes batches of: what is the same work for many batches is done once here."""
        ...

    def __call__(self, batch: Rows) -> Float[Tensor, ""]:
        """Return the loss of a batch, detached."""
        ...


def gradient_of(model: nn.Module, task: TaskName, class_weights: Tensor | None) -> Gradient:
    """Return the fastest way to the gradients of a model."""
    if type(model) is MLP:
        return MLPGradient(model, task, class_weights)
    return AutogradGradient(model, task, class_weights)


class AutogradGradient:
    """The gradients of any model."""

    def __init__(self, model: nn.Module, task: TaskName, class_weights: Tensor | None) -> None:
        self.model, self.task, self.class_weights = model, task, class_weights

    def prepare(self, block: Rows) -> Rows:
        """Return the rows as they are."""
        return block

    def __call__(self, batch: Rows) -> Float[Tensor, ""]:
        """Run the model forward and backward."""
        self.model.zero_grad()
        loss = loss_of(self.model(batch.numbers, batch.codes), batch.labels, self.task, self.class_weights)
        loss.backward()
        return loss.detach()
