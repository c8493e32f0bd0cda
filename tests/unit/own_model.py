"""A user's own models: one with all that makes exact resume hard, buffers and draws from three generators; a compiled one."""

import random
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from unbroken.features.spec import FeatureSpec


class NoisyNet(nn.Module):
    """Adds noise from Python, NumPy and torch while training; its BatchNorm keeps running statistics."""

    def __init__(self, features: FeatureSpec, width: int) -> None:
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


class Gated(nn.Module):
    """Has elementwise parts that a compiler can join; dropout draws from the generator while training."""

    def __init__(self, features: FeatureSpec, width: int) -> None:
        super().__init__()
        self.first, self.gate = nn.Linear(len(features.numbers), width), nn.Linear(len(features.numbers), width)
        self.norm, self.dropout = nn.LayerNorm(width), nn.Dropout(0.2)
        self.last = nn.Linear(width, features.outputs)

    def forward(
        self, numbers: Float[Tensor, "batch numbers"], codes: Int[Tensor, "batch categories"]
    ) -> Float[Tensor, "batch outputs"]:
        return self.last(self.dropout(self.norm(self.first(numbers).tanh() * self.gate(numbers).sigmoid())))


def compiled(features: FeatureSpec, width: int) -> nn.Module:
    """Return a compiled model; with fixed shapes, since a kernel for any shape rounds in another way than one for this shape."""
    model = Gated(features, width)
    model.compile(dynamic=False)
    return model


class OfPrecision(nn.Module):
    """Gives its logits in some precision; in training as a pair, if it is told to."""

    def __init__(self, features: FeatureSpec, precision: str, pair: bool = False) -> None:
        super().__init__()
        self.layer, self.precision, self.pair = nn.Linear(len(features.numbers), features.outputs), precision, pair

    def forward(self, numbers: Float[Tensor, "batch numbers"], codes: Int[Tensor, "batch categories"]) -> Any:
        logits = self.layer(numbers).to(getattr(torch, self.precision))
        return (logits, logits) if self.pair and self.training else logits


class RandomFeatures(nn.Module):
    """Projects onto directions that are drawn when it is built, and that no checkpoint holds."""

    def __init__(self, features: FeatureSpec, width: int) -> None:
        super().__init__()
        directions = torch.randn(len(features.numbers), width) * random.uniform(0.5, 2) * np.random.uniform(0.5, 2)
        self.register_buffer("directions", directions, persistent=False)
        self.last = nn.Linear(width, features.outputs)

    def forward(
        self, numbers: Float[Tensor, "batch numbers"], codes: Int[Tensor, "batch categories"]
    ) -> Float[Tensor, "batch outputs"]:
        return self.last((numbers @ self.get_buffer("directions")).cos())


class SumsInPlaces(nn.Module):
    """Adds many values to few places of a tensor: without torch's deterministic mode, in the order in which threads come."""

    def __init__(self, features: FeatureSpec, width: int) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(len(features.numbers), width), nn.Linear(8, features.outputs)

    def forward(
        self, numbers: Float[Tensor, "batch numbers"], codes: Int[Tensor, "batch categories"]
    ) -> Float[Tensor, "batch outputs"]:
        hidden = self.first(numbers).tanh()
        places = torch.arange(hidden.numel()) % 8
        sums = torch.zeros(8).index_put((places,), hidden.flatten(), accumulate=True)
        return self.last(torch.cat([hidden[:, :7], hidden[:, :1] * sums.sum()], 1))
