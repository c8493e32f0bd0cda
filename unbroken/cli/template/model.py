"""A network of your own: name it with `model.factory = "model:build"` in run.toml."""

import torch
from torch import Tensor, nn

from unbroken import FeatureSpec


class Network(nn.Module):
    """Numbers and embedded categories through one wide hidden layer."""

    def __init__(self, features: FeatureSpec, width: int) -> None:
        super().__init__()
        self.embeddings = nn.ModuleList(nn.Embedding(category.codes, 8) for category in features.categories)
        inputs = len(features.numbers) + 8 * len(features.categories)
        self.layers = nn.Sequential(nn.Linear(inputs, width), nn.SiLU(), nn.Linear(width, features.outputs))

    def forward(self, numbers: Tensor, codes: Tensor) -> Tensor:
        """Return [rows, outputs] logits for [rows, numbers] floats in 0 .. 1 and [rows, categories] codes."""
        embedded = [embedding(codes[:, index]) for index, embedding in enumerate(self.embeddings)]
        return self.layers(torch.cat([numbers, *embedded], dim=1))


def build(features: FeatureSpec, width: int = 64) -> nn.Module:
    """Return the network for the columns of some data; `width` comes from `model.options`."""
    return Network(features, width)
