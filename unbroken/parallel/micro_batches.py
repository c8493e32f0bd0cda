"""The gradient of a batch as the sum of those of its parts, each computed alone: the same bits wherever each is computed.

A part, called micro-batch or leaf, draws its random numbers from (seed, step, leaf), starts from the buffers of the step, and
lies in aligned memory. So its gradient is a function of the step and its rows, whichever process computes it; and the order
of the sum is fixed by `training.micro_batches` alone.
"""

from collections.abc import Callable, Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unbroken.batches.rows import Rows
from unbroken.optimization.gradient import Gradient
from unbroken.parallel.exchange import Exchange
from unbroken.parallel.group import Alone, Group
from unbroken.parallel.terms import Memory, Packed
from unbroken.parallel.tree import Node, TreeSum, leaves_of, rows_of


class MicroBatchGradient:
    """The gradient of a batch, cut into micro-batches whatever the number of processes."""

    def __init__(
        self,
        gradient: Gradient,
        model: nn.Module,
        micro_batches: int,
        seed: Callable[[int], None],
        group: Group | None = None,
    ) -> None:
        """Prepare the memory.

        Args:
            gradient: That of a micro-batch.
            model: The model.
            micro_batches: How many there are, a power of two.
            seed: Seeds all generators for a micro-batch of the present step, by its number.
            group: The processes that compute the gradients together; this one alone if not given.
        """
        self.group = group or Alone()
        self.gradient, self.model, self.micro_batches, self.seed = gradient, model, micro_batches, seed
        self.parameters = list(model.parameters())
        loss = torch.empty((), dtype=torch.float64, device=self.parameters[0].device)
        buffers = [buffer for buffer, _ in _averaged(model.buffers(), model.buffers())]
        self.memory = Memory([*self.parameters, *buffers, loss])
        self.exchange = Exchange(self.group, self.memory, micro_batches)

    def prepare(self, block: Rows) -> Rows:
        """Return the rows as the gradient of a micro-batch wants them."""
        return self.gradient.prepare(block)

    def __call__(self, batch: Rows) -> Float[Tensor, ""]:
        """Add up the gradients, each row counting the same; floating-point buffers become the mean of the leaves'."""
        before = [buffer.clone() for buffer in self.model.buffers()]
        total = TreeSum[Packed]()
        touched = [False] * len(self.memory.like)
        for leaf in leaves_of(self.group.rank, self.group.size, self.micro_batches):
            for unused in total.add(Node(0, leaf), self._term_of(leaf, batch, before, touched)):
                self.memory.give_back(unused)
        if self.group.size > 1:
            counters = [buffer for buffer in self.model.buffers() if not buffer.is_floating_point()]
            total, touched = self.exchange(total, touched, counters)
        self.seed(self.micro_batches)  # what draws after it, and a checkpoint, depend on the step alone
        ((_, root),) = total.roots
        self._put_back(root, before, touched)
        loss = root.views[-1].clone()
        if self.group.size == 1:  # else it lies in a message
            self.memory.give_back(root)
        return loss

    def fits(self) -> bool:
        """Tell whether the parameters are the same, and the gradient of a micro-batch is right."""
        current = [id(parameter) for parameter in self.model.parameters()]
        return self.gradient.fits() and current == [id(parameter) for parameter in self.parameters]

    def _term_of(self, leaf: int, batch: Rows, before: list[Tensor], touched: list[bool]) -> Packed:
        """Return the share of a leaf in the sum, and note which parameters it has a gradient for, which buffers it changed."""
        start, stop = rows_of(leaf, self.micro_batches, len(batch))
        share, count = (stop - start) / len(batch), len(self.parameters)
        term = self.memory.take()
        for buffer, value in zip(self.model.buffers(), before, strict=True):
            buffer.copy_(value)
        for view in term.views:
            view.zero_()
        if share:
            self.seed(leaf)
            loss = self.gradient(batch.slice(start, stop).aligned())
            term.views[-1].copy_(loss).mul_(share)
            for place, parameter in enumerate(self.parameters):
                if parameter.grad is not None:
                    torch.mul(parameter.grad, share, out=term.views[place])
                    touched[place] = True
        for place, (buffer, value) in enumerate(_averaged(self.model.buffers(), before), start=count):
            torch.mul(buffer, 1 / self.micro_batches, out=term.views[place])
            touched[place] |= not torch.equal(buffer, value)
        return term

    def _put_back(self, root: Packed, before: list[Tensor], touched: list[bool]) -> None:
        count = len(self.parameters)
        for parameter, total, is_touched in zip(self.parameters, root.views, touched, strict=False):
            if not is_touched:
                parameter.grad = None
            elif parameter.grad is None:
                parameter.grad = total.clone()
            else:
                parameter.grad.copy_(total)  # a gradient written out keeps its memory
        for place, (buffer, value) in enumerate(_averaged(self.model.buffers(), before), start=count):
            buffer.copy_(root.views[place] if touched[place] else value)


def _averaged(buffers: Iterable[Tensor], before: Iterable[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Return the buffers that hold floating-point numbers; a counter is that of the last leaf, which is never empty."""
    return [pair for pair in zip(buffers, before, strict=True) if pair[0].is_floating_point()]
