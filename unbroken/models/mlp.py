"""The network: a multi-layer perceptron over numbers and embedded categories."""

import itertools
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from unbroken.features.spec import FeatureSpec

SPREAD = 4.0
"""Numbers in 0 .. 1 enter the first layer as -2 .. 2, the scale of the embeddings beside them; flights gain 0.03 AUROC."""


class MLP(nn.Module):
    """Hidden ReLU layers with dropout; each category enters through an embedding.

    The output is logits: sigmoid, softmax or identity are applied by `predictions`.
    """

    def __init__(self, features: FeatureSpec, hidden: Sequence[int] = (128, 64), dropout: float = 0.0) -> None:
        super().__init__()
        self.embeddings = category_embeddings(features)
        inputs = len(features.numbers) + sum(embedding_width(category.codes) for category in features.categories)
        self.layers = hidden_layers([inputs, *hidden], features.outputs, dropout)

    def forward(
        self, numbers: Float[Tensor, "batch numbers"], codes: Int[Tensor, "batch categories"]
    ) -> Float[Tensor, "batch outputs"]:
        """Return one logit per output."""
        embedded = [embedding(codes[:, place]) for place, embedding in enumerate(self.embeddings)]
        return self.layers(torch.cat([(numbers - 0.5) * SPREAD, *embedded], dim=1))


def category_embeddings(features: FeatureSpec) -> nn.ModuleList:
    """Return an embedding for each category."""
    return nn.ModuleList(
        nn.Embedding(category.codes, embedding_width(category.codes)) for category in features.categories
    )


def hidden_layers(sizes: Sequence[int], outputs: int, dropout: float) -> nn.Sequential:
    """Return ReLU layers, the first size that of the input, and a linear layer to the outputs."""
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(sizes):
        layers += [nn.Linear(before, after), nn.ReLU()] + ([nn.Dropout(dropout)] if dropout else [])
    return nn.Sequential(*layers, nn.Linear(sizes[-1], outputs))


def embedding_width(codes: int) -> int:
    """Return the size of a category's embedding: min(50, 1.6 n^0.56), the rule of thumb of Howard and Gugger (fastai, 2020)."""
    return min(50, round(1.6 * codes**0.56))
