"""What enters a network: numbers as vectors, scaled by what the rows that train say of them, and categories by their embeddings."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from unbroken.batches.rows import Rows
from unbroken.features.spec import FeatureSpec
from unbroken.models.mlp import category_embeddings, embedding_width
from unbroken.models.numbers import PeriodicEmbeddings, RobustScale


class EmbeddedInputs(nn.Module):
    """Robust scaling and periodic embeddings of the numbers beside the embeddings of the categories."""

    def __init__(self, features: FeatureSpec, frequencies: int, width: int, scale: float) -> None:
        super().__init__()
        self.scale = RobustScale(len(features.numbers))
        self.numbers = PeriodicEmbeddings(len(features.numbers), frequencies, width, scale)
        self.embeddings = category_embeddings(features)
        self.widths = [width] * len(features.numbers)
        self.widths += [embedding_width(category.codes) for category in features.categories]

    @property
    def width(self) -> int:
        """The size of all vectors together."""
        return sum(self.widths)

    def learn(self, rows: Rows) -> None:
        """Learn the scales of the numbers from rows that train."""
        self.scale.learn(rows.numbers)

    def forward(
        self, numbers: Float[Tensor, "batch numbers"], codes: Int[Tensor, "batch categories"]
    ) -> Float[Tensor, "batch vectors"]:
        """Return the vectors of all inputs side by side."""
        embedded = [table(codes[:, index]) for index, table in enumerate(self.embeddings)]
        return torch.cat([self.numbers(self.scale(numbers)), *embedded], dim=1)


class EmbeddingNetwork(nn.Module):
    """A network over embedded inputs, whose scales it learns before its first step."""

    def __init__(self, features: FeatureSpec, frequencies: int, width: int, scale: float) -> None:
        super().__init__()
        self.inputs = EmbeddedInputs(features, frequencies, width, scale)

    def learn_inputs(self, rows: Rows) -> None:
        """Learn the scales of the numbers."""
        self.inputs.learn(rows)
