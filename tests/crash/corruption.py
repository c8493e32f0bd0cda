"""What can happen to a file that lies on a disk: its end is cut off, or a bit flips."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

CUT_EVERY = 64


@dataclass(frozen=True)
class Damage:
    """A kind of damage and where it is, in bytes or bits."""

    kind: str
    position: int

    def of(self, content: bytes) -> bytes:
        """Return the damaged content."""
        if self.kind == "cut":
            return content[: self.position]
        byte, bit = divmod(self.position, 8)
        return content[:byte] + bytes([content[byte] ^ 1 << bit]) + content[byte + 1 :]


def damages(content: bytes, flips: int, stride: int = 1) -> Iterator[Damage]:
    """Yield cuts at every 64th byte and flips of bits drawn over the whole content, or every so many-th of them."""
    cuts = [Damage("cut", size) for size in range(0, len(content), CUT_EVERY)]
    draw = random.Random(len(content))
    flipped = [Damage("flip", draw.randrange(8 * len(content))) for _ in range(flips)]
    yield from cuts[::stride]
    yield from flipped[::stride]
