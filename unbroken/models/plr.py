"""An MLP whose numbers enter through periodic embeddings."""

from collections.abc import Sequence

from jaxtyping import Float, Int
from torch import Tensor

from unbroken.features.spec import FeatureSpec
from unbroken.models.inputs import EmbeddingNetwork
from unbroken.models.mlp import hidden_layers


class PLR(EmbeddingNetwork):
    """Hidden ReLU layers with dropout over periodic embeddings of the numbers and embeddings of the categories.

    Gorishniy, Rubachev and Babenko (2022), with the scaling and the embeddings of RealMLP (Holzmueller, Grinsztajn and
    Steinwart, 2024).
    """

    def __init__(
        self,
        features: FeatureSpec,
        hidden: Sequence[int] = (128, 64),
        dropout: float = 0.0,
        frequencies: int = 16,
        width: int = 4,
        scale: float = 0.1,
    ) -> None:
        """Draw the weights.

        Args:
            features: What goes in and comes out.
            hidden: Sizes of the hidden layers.
            dropout: Share of hidden units left out in training.
            frequencies: Cosines of each number.
            width: Size of the vector of each number, 2 or more.
            scale: Standard deviation of the frequencies, where half of a number's values lie within 1.
        """
        super().__init__(features, frequencies, width, scale)
        self.layers = hidden_layers([self.inputs.width, *hidden], features.outputs, dropout)

    def forward(
        self, numbers: Float[Tensor, "batch numbers"], codes: Int[Tensor, "batch categories"]
    ) -> Float[Tensor, "batch outputs"]:
        """Return one logit per output."""
        return self.layers(self.inputs(numbers, codes))
