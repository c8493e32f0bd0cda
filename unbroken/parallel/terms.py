"""What is added up over the parts of a batch: gradients, loss and buffers, side by side in memory."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Packed:
    """Tensors in one piece of memory for each type of number."""

    flats: list[Tensor]
    views: list[Tensor]
    """Of the tensors, in their order."""

    def add_(self, other: "Packed") -> "Packed":
        """Add another one's numbers to these."""
        for flat, added in zip(self.flats, other.flats, strict=True):
            flat.add_(added)
        return self


class Memory:
    """Where packed tensors of some shapes and types lie; what is given back is used again, since fresh memory costs more."""

    def __init__(self, like: Sequence[Tensor]) -> None:
        self.like = [(value.shape, value.dtype, value.device) for value in like]
        self.dtypes = list(dict.fromkeys(dtype for _, dtype, _ in self.like))
        self.free: list[Packed] = []

    def take(self) -> Packed:
        """Return memory with anything in it."""
        return self.free.pop() if self.free else self._allocate()

    def give_back(self, packed: Packed) -> None:
        """Let memory be used again."""
        self.free.append(packed)

    def pack(self, flats: list[Tensor]) -> Packed:
        """Return pieces of memory, one for each type of number, as packed tensors."""
        views: dict[int, Tensor] = {}
        for dtype, flat in zip(self.dtypes, flats, strict=True):
            places = self._places(dtype)
            shapes = [self.like[place][0] for place in places]
            parts = flat.split([shape.numel() for shape in shapes])
            views |= {place: part.view(shape) for place, part, shape in zip(places, parts, shapes, strict=True)}
        return Packed(flats, [views[place] for place in range(len(self.like))])

    def sizes(self) -> list[tuple[int, torch.dtype]]:
        """Return how many numbers there are of each type."""
        return [(sum(self.like[place][0].numel() for place in self._places(dtype)), dtype) for dtype in self.dtypes]

    def _places(self, dtype: torch.dtype) -> list[int]:
        return [place for place, (_, kind, _) in enumerate(self.like) if kind == dtype]

    def _allocate(self) -> Packed:
        device = self.like[0][2]
        return self.pack([torch.empty(count, dtype=dtype, device=device) for count, dtype in self.sizes()])
