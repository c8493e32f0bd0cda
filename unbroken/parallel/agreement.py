"""What all ranks must have alike: settings, code and numerics when they begin, weights whenever they save."""

import json
from typing import Any

import blake3
import torch
from torch import Tensor

from unbroken.checkpoints.tree import Tree, leaves
from unbroken.errors import ConfigError, RanksDifferError
from unbroken.parallel.group import Group

DIGEST_BYTES = 32
SHOWN = 200
"""Characters of a value that a message shows."""


def require_same_settings(group: Group, settings: dict[str, Any]) -> None:
    """Raise ConfigError on all ranks where one of them computes with other code or numerics, or trains otherwise, than rank 0."""
    content = json.dumps(settings, sort_keys=True, default=str).encode()
    sizes = group.gather(torch.tensor([len(content)]).view(torch.uint8))
    longest = max(int(size.view(torch.int64)) for size in sizes)
    padded = torch.frombuffer(bytearray(content.ljust(longest)), dtype=torch.uint8)
    first, *others = (json.loads(part.numpy().tobytes()) for part in group.gather(padded))
    for rank, other in enumerate(others, start=1):
        for name in first | other:
            if first.get(name) != other.get(name):
                raise ConfigError(
                    f"ranks: {name}: found {_shown(other.get(name))} at rank {rank}, expected {_shown(first.get(name))}, as at "
                    f"rank 0; they would not compute the same bits. Start all ranks with the same settings, code and machines"
                )


def require_same_state(group: Group, state: Tree, step: int) -> None:
    """Raise RanksDifferError on all ranks where one of them has come to other weights than rank 0."""
    digests = [part.numpy().tobytes().hex() for part in group.gather(digest_of(state))]
    for rank, digest in enumerate(digests):
        if digest != digests[0]:
            raise RanksDifferError(
                f"ranks: after step {step} rank {rank} has the state {digest[:16]}, rank 0 {digests[0][:16]}; expected the same. "
                f"Nothing of it was saved. A machine computes wrongly, or the model depends on what differs between processes; "
                f"the same command goes on from the newest checkpoint"
            )


def digest_of(state: Tree) -> Tensor:
    """Return the BLAKE3 of all tensors and values in a tree, as bytes."""
    digest = blake3.blake3()
    for name, value in leaves(state, ""):
        digest.update(name.encode())
        if isinstance(value, Tensor):
            digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
        else:
            digest.update(repr(value).encode())
    return torch.frombuffer(bytearray(digest.digest(DIGEST_BYTES)), dtype=torch.uint8)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
