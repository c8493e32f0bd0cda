"""What the ranks tell each other at each step: the roots of their subtrees, and what must be known of all."""

from collections.abc import Iterator

import torch
from torch import Tensor

from unbroken.parallel.group import Group, Requests
from unbroken.parallel.terms import Memory, Packed
from unbroken.parallel.tree import TreeSum, leaves_of, roots_of

ALIGNMENT = 64
"""Bytes: each part of a message begins at a multiple, so that it can be read as numbers."""


class Exchange:
    """Completes the sum of a step over all ranks: each sends the roots of its complete subtrees, and all add up the same tree."""

    def __init__(self, group: Group, memory: Memory, leaves: int) -> None:
        """Prepare the messages.

        Args:
            group: The ranks.
            memory: The form of a term.
            leaves: The leaves of the tree.
        """
        self.group, self.memory = group, memory
        self.roots = [roots_of(leaves_of(rank, group.size, leaves)) for rank in range(group.size)]
        self.most_roots = max(map(len, self.roots))

    def __call__(
        self, total: TreeSum[Packed], touched: list[bool], counters: list[Tensor]
    ) -> tuple[TreeSum[Packed], list[bool]]:
        """Send and receive.

        Args:
            total: This rank's part of the sum, whose memory can be used again afterwards.
            touched: Which terms count for anything in its leaves.
            counters: The buffers that are not added up: they become those of the last rank, which has the last leaf.

        Returns:
            The whole sum, and which terms count in any leaf.
        """
        flags = torch.tensor([*touched, self.group.requests.signal, self.group.requests.save], dtype=torch.uint8)
        parts = [flags, *(_bytes_of(counter) for counter in counters)]
        flats = [_bytes_of(flat) for _, term in total.roots for flat in term.flats]
        missing = self.most_roots - len(total.roots)
        parts += [*flats, *(torch.empty_like(flat) for flat in flats[: len(self.memory.dtypes)] * missing)]
        for _, term in total.roots:
            self.memory.give_back(term)
        sizes = [part.numel() for part in parts]
        messages = [list(_split(message, sizes)) for message in self.group.gather(_joined(parts))]
        for counter, last in zip(counters, messages[-1][1:], strict=False):
            counter.copy_(last.view(counter.dtype).view(counter.shape))
        return self._sum_of([message[1 + len(counters) :] for message in messages]), self._flags_of(
            [message[0] for message in messages]
        )

    def _sum_of(self, messages: list[list[Tensor]]) -> TreeSum[Packed]:
        total, count = TreeSum[Packed](), len(self.memory.dtypes)
        for nodes, flats in zip(self.roots, messages, strict=True):
            for place, node in enumerate(nodes):
                own = flats[place * count : (place + 1) * count]
                term = self.memory.pack([flat.view(dtype) for flat, dtype in zip(own, self.memory.dtypes, strict=True)])
                list(total.add(node, term))
        return total

    def _flags_of(self, messages: list[Tensor]) -> list[bool]:
        """Return which terms count, and take up what any rank asks of all."""
        flags = torch.stack(messages).amax(0).tolist()
        *touched, signal, save = flags
        self.group.requests = Requests(signal=signal, save=save)
        return list(map(bool, touched))


def _bytes_of(value: Tensor) -> Tensor:
    return value.detach().contiguous().view(-1).view(torch.uint8)


def _padded(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _joined(parts: list[Tensor]) -> Tensor:
    message = torch.empty(sum(_padded(part.numel()) for part in parts), dtype=torch.uint8)
    for part, place in zip(parts, _split(message, [part.numel() for part in parts]), strict=True):
        place.copy_(part)
    return message


def _split(message: Tensor, sizes: list[int]) -> Iterator[Tensor]:
    start = 0
    for size in sizes:
        yield message[start : start + size]
        start += _padded(size)
