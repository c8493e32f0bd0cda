"""The gradients of a batch: by autograd for any model, by the chain rule written out for the MLP.

At small batches most of a step is not arithmetic but the dispatch of operations and the building of autograd's graph.
The MLP's gradients take about a third of the operations, and no graph.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from unbroken.batches.rows import Rows
from unbroken.config import TaskName
from unbroken.models.mlp import MLP, SPREAD

threshold_backward = torch.ops.aten.threshold_backward.grad_input
embedding_backward = torch.ops.aten.embedding_dense_backward.default


class MLPGradient:
    """The gradients of an unchanged MLP in training mode, layer by layer (Rumelhart, Hinton and Williams, 1986).

    The parameters are held detached, so that no operation looks for a graph; they share their memory with the model's.
    """

    def __init__(self, model: MLP, task: TaskName, class_weights: Tensor | None) -> None:
        self.model, self.task, self.class_weights = model, task, class_weights
        self.tables = [table for table in model.embeddings if isinstance(table, nn.Embedding)]
        self.rows_of_tables = [table.weight.detach() for table in self.tables]
        self.linears = _linears(model)
        for layer in self.linears:
            layer.weight.grad, layer.bias.grad = torch.empty_like(layer.weight), torch.empty_like(layer.bias)
        self.layers = [_Layer.of(layer) for layer in self.linears]
        self.memory: dict[int, list[_Memory]] = {}
        self.dropout = _dropout(model)

    def prepare(self, block: Rows) -> Rows:
        """Centre and spread the numbers, and turn labels 0 and 1 into signs 1 and -1."""
        labels = 1 - 2 * block.labels if self.task == "binary" else block.labels
        return Rows((block.numbers - 0.5).mul_(SPREAD), block.codes, labels)

    def __call__(self, batch: Rows) -> Float[Tensor, ""]:
        """Go forward keeping each layer's input, then back."""
        *hidden_layers, last = self.layers
        memory = self._memory_for(len(batch))
        inputs = [self._first_input(batch)]
        for layer, lent in zip(hidden_layers, memory, strict=False):
            hidden = torch.addmm(layer.bias, inputs[-1], layer.transposed, out=lent.hidden).relu_()
            if self.dropout:
                # A unit that dropout put to zero is one that ReLU lets nothing back through: no mask to keep.
                hidden = torch.native_dropout(hidden, self.dropout, True)[0]
            inputs.append(hidden)
        logits = torch.addmm(last.bias, inputs[-1], last.transposed)
        loss, gradient = self._loss_and_gradient(logits, batch.labels)
        self._backward(batch, inputs, gradient, memory)
        return loss

    def fits(self) -> bool:
        """Tell whether the parameters, their gradients and the dropout are those that are held here."""
        layers = [*_linears(self.model), *self.model.embeddings]
        if _dropout(self.model) != self.dropout or list(map(id, layers)) != list(
            map(id, [*self.linears, *self.tables])
        ):
            return False
        pairs = [(table.weight, rows) for table, rows in zip(self.tables, self.rows_of_tables, strict=True)]
        return all(layer.holds(linear) for layer, linear in zip(self.layers, self.linears, strict=True)) and all(
            _share_memory(weight, rows) for weight, rows in pairs
        )

    def _memory_for(self, rows: int) -> "list[_Memory]":
        """Return what the layers compute into, the same at every step: fresh memory costs more than what is done with it."""
        if rows not in self.memory:  # of all batches of an epoch, only the last has another number of rows
            self.memory[rows] = [_Memory.of(layer, rows) for layer in self.layers]
        return self.memory[rows]

    def _first_input(self, batch: Rows) -> Float[Tensor, "batch inputs"]:
        if not self.tables:
            return batch.numbers
        columns = batch.codes.unbind(1)[: len(self.tables)]
        embedded = [torch.embedding(rows, column) for rows, column in zip(self.rows_of_tables, columns, strict=True)]
        return torch.cat([batch.numbers, *embedded], dim=1)

    def _loss_and_gradient(
        self, logits: Float[Tensor, "batch outputs"], labels: Tensor
    ) -> tuple[Float[Tensor, ""], Float[Tensor, "batch outputs"]]:
        """Return the mean loss, and its gradient by the logits."""
        column = labels.unsqueeze(1)
        if self.task == "regression":
            gradient = logits.sub_(column)
            losses, gradient = gradient.square(), gradient.mul_(2)
        elif self.task == "binary":
            margins = logits.mul_(column)
            losses, gradient = functional.softplus(margins), margins.sigmoid().mul_(column)
        else:
            logarithms = logits.log_softmax(1)
            losses, gradient = -logarithms.gather(1, column), logarithms.exp()
            gradient.scatter_add_(1, column, torch.full_like(losses, -1.0))
        if self.class_weights is not None:
            classes = (labels < 0).long() if self.task == "binary" else labels
            weights = self.class_weights[classes].unsqueeze(1)
            losses, gradient = losses.mul_(weights), gradient.mul_(weights)
        return losses.sum().div_(len(labels)), gradient.div_(len(labels))

    def _backward(
        self, batch: Rows, inputs: list[Tensor], gradient: Float[Tensor, "batch outputs"], memory: "list[_Memory]"
    ) -> None:
        for place in range(len(self.layers) - 1, -1, -1):
            layer = self.layers[place]
            torch.mm(gradient.t(), inputs[place], out=layer.weight_gradient)
            torch.sum(gradient, 0, out=layer.bias_gradient)
            if place == 0 and not self.tables:
                return
            gradient = torch.mm(gradient, layer.weight, out=memory[place].gradient)
            if place:
                threshold_backward(gradient, inputs[place], 0, grad_input=gradient)
                if self.dropout:
                    gradient.mul_(1 / (1 - self.dropout))
        self._embedding_gradients(batch, gradient)

    def _embedding_gradients(self, batch: Rows, gradient: Float[Tensor, "batch inputs"]) -> None:
        start = batch.numbers.shape[1]
        for table, codes in zip(self.tables, batch.codes.unbind(1), strict=False):
            count, width = table.weight.shape
            stop = start + width
            part = gradient[:, start:stop].contiguous()
            table.weight.grad = embedding_backward(part, codes, count, -1, False)
            start = stop


@dataclass(frozen=True, slots=True)
class _Layer:
    """A linear layer's tensors, detached."""

    weight: Float[Tensor, "outputs inputs"]
    transposed: Float[Tensor, "inputs outputs"]
    bias: Float[Tensor, " outputs"]
    weight_gradient: Float[Tensor, "outputs inputs"]
    bias_gradient: Float[Tensor, " outputs"]

    @classmethod
    def of(cls, layer: nn.Linear) -> "_Layer":
        weight, bias = layer.weight.detach(), layer.bias.detach()
        assert layer.weight.grad is not None
        assert layer.bias.grad is not None
        return cls(weight, weight.t(), bias, layer.weight.grad, layer.bias.grad)

    def holds(self, layer: nn.Linear) -> bool:
        """Tell whether these are the tensors of a layer."""
        same = layer.weight.grad is self.weight_gradient and layer.bias.grad is self.bias_gradient
        return same and _share_memory(layer.weight, self.weight) and _share_memory(layer.bias, self.bias)


@dataclass(frozen=True, slots=True)
class _Memory:
    """What a layer computes for a batch: its output, and the gradient by its input."""

    hidden: Float[Tensor, "batch outputs"]
    gradient: Float[Tensor, "batch inputs"]

    @classmethod
    def of(cls, layer: _Layer, rows: int) -> "_Memory":
        outputs, inputs = layer.weight.shape
        return cls(layer.weight.new_empty(rows, outputs), layer.weight.new_empty(rows, inputs))


def _linears(model: MLP) -> list[nn.Linear]:
    return [layer for layer in model.layers if isinstance(layer, nn.Linear)]


def _dropout(model: MLP) -> float:
    return next((layer.p for layer in model.layers if isinstance(layer, nn.Dropout)), 0.0)


def _share_memory(parameter: Tensor, held: Tensor) -> bool:
    return parameter.data_ptr() == held.data_ptr() and parameter.shape == held.shape
