"""The random generators that a model may draw from while it trains.

Torch's are seeded at the beginning of an epoch and go on with its steps, so their states belong to a checkpoint. Python's
and NumPy's global ones are seeded before each step, and nothing of them is kept.
"""

import random
from typing import Any

import numpy as np
import torch

from unbroken.data.permutation import derive


def seed_epoch(seed: int, epoch: int, device: torch.device) -> None:
    """Seed torch's generators for an epoch."""
    key = derive(seed, "epoch", epoch)
    torch.manual_seed(key)
    if device.type == "cuda":
        torch.cuda.manual_seed_all(key)


def seed_micro_batch(seed: int, step: int, micro_batch: int, device: torch.device, *, shared: bool) -> None:
    """Seed torch's generators for a part of a step, and, for a model that may draw from them, Python's and NumPy's."""
    key = derive(seed, "step", step, micro_batch)
    torch.manual_seed(key)
    if device.type == "cuda":
        torch.cuda.manual_seed_all(key)
    if shared:
        seed_shared(seed, "step", step, micro_batch)


def seed_weights(seed: int) -> None:
    """Seed all generators for building a model."""
    torch.manual_seed(derive(seed, "weights"))
    seed_shared(seed, "weights")


def seed_shared(seed: int, *purpose: str | int) -> None:
    """Seed Python's and NumPy's global generators for one purpose, such as a step."""
    key = derive(seed, *purpose)
    random.seed(key)
    np.random.seed(key & 0xFFFFFFFF)


def generator_states(device: torch.device) -> dict[str, Any]:
    """Return the states of torch's generators."""
    cuda = torch.cuda.get_rng_state_all() if device.type == "cuda" else []
    return {"torch": torch.get_rng_state(), "cuda": cuda}


def restore_generators(states: dict[str, Any], device: torch.device) -> None:
    """Put the states of torch's generators back."""
    torch.set_rng_state(states["torch"])
    if device.type == "cuda" and states["cuda"]:
        torch.cuda.set_rng_state_all(states["cuda"])
