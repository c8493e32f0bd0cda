"""The gradients of a batch: written out for the MLP, by autograd for any model, and of several batches as one."""

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unbroken.batches.rows import Rows
from unbroken.config import TaskName, TrainingConfig
from unbroken.models.forward import of_each_member, to_logits
from unbroken.models.loss import loss_of
from unbroken.models.mlp import MLP
from unbroken.models.unchanged import is_unchanged_mlp
from unbroken.optimization.mlp_gradient import MLPGradient

PLAIN = TrainingConfig()


@runtime_checkable
class Gradient(Protocol):
    """Puts the gradient of a batch's loss into each parameter's `grad`."""

    def prepare(self, block: Rows) -> Rows:
        """Return what `__call__` takes batches of: what is the same work for many batches is done once here."""
        ...

    def __call__(self, batch: Rows) -> Float[Tensor, ""]:
        """Return the loss of a batch, detached."""
        ...

    def fits(self) -> bool:
        """Tell whether this still is right for the model, which a hook may have changed."""
        ...


def gradient_of(
    model: nn.Module, task: TaskName, class_weights: Float[Tensor, " classes"] | None, config: TrainingConfig = PLAIN
) -> Gradient:
    """Return the fastest way to the gradients of a model that is proven for it as it is.

    Args:
        model: From numbers and codes to logits.
        task: Decides the loss.
        class_weights: How much a row of each class counts; all the same when None.
        config: Its `precision`, `batch_size` and `accumulate`.
    """
    kind: Gradient = AutogradGradient(model, task, class_weights, config)
    if isinstance(model, MLP) and is_unchanged_mlp(model) and config.precision == "float32":
        kind = MLPGradient(model, task, class_weights)
    return kind if config.accumulate == 1 else AccumulatedGradient(kind, model, config.batch_size)


class AutogradGradient:
    """The gradients of any model."""

    def __init__(
        self,
        model: nn.Module,
        task: TaskName,
        class_weights: Float[Tensor, " classes"] | None,
        config: TrainingConfig = PLAIN,
    ) -> None:
        self.model, self.task, self.class_weights = model, task, class_weights
        self.precision: AbstractContextManager[object] = nullcontext()
        if config.precision == "bfloat16":
            self.precision = torch.autocast(torch.device(config.device).type, torch.bfloat16)

    def prepare(self, block: Rows) -> Rows:
        """Return the rows as they are."""
        return block

    def __call__(self, batch: Rows) -> Float[Tensor, ""]:
        """Run the model forward and backward."""
        self.model.zero_grad()
        with self.precision:
            outputs, labels = of_each_member(self.model(batch.numbers, batch.codes), batch.labels)
            logits = to_logits(outputs, len(labels))
        loss = loss_of(logits, labels, self.task, self.class_weights)
        loss.backward()
        return loss.detach()

    def fits(self) -> bool:
        """Return True: autograd looks at the model anew each time."""
        return True


class AccumulatedGradient:
    """The gradients of a large batch, added up from those of small ones, in the memory that a small one needs."""

    def __init__(self, gradient: Gradient, model: nn.Module, rows: int) -> None:
        self.gradient, self.model, self.rows = gradient, model, rows
        self.parameters = list(model.parameters())

    def prepare(self, block: Rows) -> Rows:
        """Return the rows as the gradient of a small batch wants them."""
        return self.gradient.prepare(block)

    def __call__(self, batch: Rows) -> Float[Tensor, ""]:
        """Add up the gradients of so many rows each; each row counts the same."""
        sums: list[Tensor | None] = [None] * len(self.parameters)
        losses: list[Tensor] = []
        for part in batch.aligned_split(self.rows):
            share = len(part) / len(batch)
            losses.append(self.gradient(part) * share)
            for index, parameter in enumerate(self.parameters):
                if parameter.grad is not None:
                    scaled = parameter.grad * share
                    previous = sums[index]
                    sums[index] = scaled if previous is None else previous.add_(scaled)
        for parameter, total in zip(self.parameters, sums, strict=True):
            if parameter.grad is None or total is None:
                parameter.grad = total
            else:
                parameter.grad.copy_(total)  # a gradient written out keeps its memory
        return torch.stack(losses).sum()

    def fits(self) -> bool:
        """Tell whether the parameters are the same, and the gradient of a small batch is right."""
        current = [id(parameter) for parameter in self.model.parameters()]
        return self.gradient.fits() and current == [id(parameter) for parameter in self.parameters]
