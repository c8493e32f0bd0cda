"""The gradients of a batch: by autograd for any model, by the chain rule written out for the MLP.

At small batches most of a step is not arithmetic but the dispatch of operations and the building of autograd's graph.
The MLP's gradients take about a third of the operations, and no graph.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unbroken.batches import Rows
from unbroken.config import TaskName
from unbroken.metrics import loss_of
from unbroken.model import MLP, SPREAD

Gradient = Callable[[Rows], Float[Tensor, ""]]
"""Puts the gradient of a batch's loss into each parameter's `grad` and returns the loss, detached."""

aten = torch.ops.aten


def gradient_of(model: nn.Module, task: TaskName, class_weights: Tensor | None) -> Gradient:
    """Return the fastest way to the gradients of a model."""
    if type(model) is MLP:
        return MLPGradient(model, task, class_weights)
    return AutogradGradient(model, task, class_weights)


class AutogradGradient:
    """The gradients of any model."""

    def __init__(self, model: nn.Module, task: TaskName, class_weights: Tensor | None) -> None:
        self.model, self.task, self.class_weights = model, task, class_weights

    def __call__(self, batch: Rows) -> Float[Tensor, ""]:
        """Run the model forward and backward."""
        self.model.zero_grad()
        loss = loss_of(self.model(batch.numbers, batch.codes), batch.labels, self.task, self.class_weights)
        loss.backward()
        return loss.detach()


class MLPGradient:
    """The gradients of an MLP in training mode, layer by layer (Rumelhart, Hinton and Williams, 1986)."""

    def __init__(self, model: MLP, task: TaskName, class_weights: Tensor | None) -> None:
        self.task, self.class_weights = task, class_weights
        self.tables = [table.weight for table in model.embeddings if isinstance(table, nn.Embedding)]
        linears = [layer for layer in model.layers if isinstance(layer, nn.Linear)]
        self.weights, self.biases = [layer.weight for layer in linears], [layer.bias for layer in linears]
        self.dropout = next((layer.p for layer in model.layers if isinstance(layer, nn.Dropout)), 0.0)
        for parameter in (*self.weights, *self.biases):
            parameter.grad = torch.empty_like(parameter)

    @torch.no_grad()
    def __call__(self, batch: Rows) -> Float[Tensor, ""]:
        """Go forward keeping each layer's input, then back."""
        inputs = [self._first_input(batch)]
        masks: list[Tensor] = []
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            hidden = torch.addmm(bias, inputs[-1], weight.t()).relu_()
            if self.dropout:
                hidden, mask = aten.native_dropout(hidden, self.dropout, True)
                masks.append(mask)
            inputs.append(hidden)
        logits = torch.addmm(self.biases[-1], inputs[-1], self.weights[-1].t())
        self._backward(batch, inputs, masks, self._output_gradient(logits, batch.labels))
        return loss_of(logits, batch.labels, self.task, self.class_weights)

    def _first_input(self, batch: Rows) -> Float[Tensor, "batch inputs"]:
        numbers = (batch.numbers - 0.5).mul_(SPREAD)
        if not self.tables:
            return numbers
        return torch.cat([numbers, *(table[batch.codes[:, place]] for place, table in enumerate(self.tables))], dim=1)

    def _output_gradient(
        self, logits: Float[Tensor, "batch outputs"], labels: Tensor
    ) -> Float[Tensor, "batch outputs"]:
        if self.task == "multiclass":
            gradient = logits.softmax(1)
            gradient.scatter_add_(1, labels.unsqueeze(1), gradient.new_full((len(labels), 1), -1.0))
        elif self.task == "binary":
            gradient = logits.sigmoid().sub_(labels.unsqueeze(1))
        else:
            gradient = (logits - labels.unsqueeze(1)).mul_(2)
        if self.class_weights is not None:
            gradient.mul_(self.class_weights[labels.long()].unsqueeze(1))
        return gradient.div_(len(labels))

    def _backward(
        self, batch: Rows, inputs: list[Tensor], masks: list[Tensor], gradient: Float[Tensor, "batch outputs"]
    ) -> None:
        for layer in reversed(range(len(self.weights))):
            weight, bias = self.weights[layer], self.biases[layer]
            torch.mm(gradient.t(), inputs[layer], out=weight.grad)
            torch.sum(gradient, 0, out=bias.grad)
            if layer == 0 and not self.tables:
                return
            gradient = gradient @ weight
            if layer:
                # A unit that dropout put to zero is one that ReLU lets nothing back through.
                gradient = aten.threshold_backward(gradient, inputs[layer], 0)
                if masks:
                    gradient = gradient.mul_(1 / (1 - self.dropout))
        self._embedding_gradients(batch, gradient)

    def _embedding_gradients(self, batch: Rows, gradient: Float[Tensor, "batch inputs"]) -> None:
        start = batch.numbers.shape[1]
        for place, table in enumerate(self.tables):
            stop = start + table.shape[1]
            table.grad = aten.embedding_dense_backward(
                gradient[:, start:stop].contiguous(), batch.codes[:, place], len(table), -1, False
            )
            start = stop
