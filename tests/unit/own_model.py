"""A user's own model, with everything that makes exact resume hard: buffers, and draws from three random generators."""

import random

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from unbroken.features import Features


class NoisyNet(nn.Module):
    """Adds noise from Python, NumPy and torch while training; its BatchNorm keeps running statistics."""

    def __init__(self, features: Features, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(len(features.numbers), width)
        self.norm = nn.BatchNorm1d(width)
        self.last = nn.Linear(width, features.outputs)

    def forward(
        self, numbers: Float[Tensor, "batch numbers"], codes: Int[Tensor, "batch categories"]
    ) -> Float[Tensor, "batch outputs"]:
        hidden = self.norm(self.first(numbers)).relu()
        if self.training:
            hidden = hidden + 0.1 * random.random() + 0.1 * np.random.random() + 0.1 * torch.rand_like(hidden)
        return self.last(hidden)
