"""RealMLP: an MLP with the defaults that were best over many tables."""

import itertools
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from unbroken.features.spec import FeatureSpec
from unbroken.models.inputs import EmbeddingNetwork

Activation = Callable[[Tensor], Tensor]
WEIGHT_PACE, SCALE_PACE = 10.0, 60.0
"""How much faster than biases and embeddings the weights and the scales of the inputs learn.

Adam moves each parameter by about the learning rate. So one that is multiplied by a number where it is used moves as many
times as far: the paper's learning rates (0.04 for weights, six times that for scales, a tenth for the rest) need no groups of
parameters, and come to these at the default rate of 0.003.
"""


class RealMLP(EmbeddingNetwork):
    """A scale for each input, hidden layers in the NTK parametrization, parametric SELU or Mish, dropout; a last layer from 0.

    RealMLP-TD (Holzmueller, Grinsztajn and Steinwart, 2024) but for label smoothing and schedules, which are settings of the
    training, and what it fits its first weights and biases to.
    """

    def __init__(
        self,
        features: FeatureSpec,
        hidden: Sequence[int] = (256, 256, 256),
        dropout: float = 0.15,
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
        self.dropout = dropout
        self.input_scales = nn.Parameter(torch.full((self.inputs.width,), 1 / SCALE_PACE))
        sizes = [self.inputs.width, *hidden]
        self.layers = nn.ModuleList(PacedLinear(before, after) for before, after in itertools.pairwise(sizes))
        kind = functional.mish if features.task == "regression" else functional.selu
        self.activations = nn.ModuleList(ParametricActivation(kind, size) for size in hidden)
        self.last = PacedLinear(sizes[-1], features.outputs)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(
        self, numbers: Float[Tensor, "batch numbers"], codes: Int[Tensor, "batch categories"]
    ) -> Float[Tensor, "batch outputs"]:
        """Return one logit per output."""
        hidden = self.inputs(numbers, codes) * (self.input_scales * SCALE_PACE)
        for layer, activation in zip(self.layers, self.activations, strict=True):
            hidden = functional.dropout(activation(layer(hidden)), self.dropout, self.training)
        return self.last(hidden)


class PacedLinear(nn.Module):
    """A linear layer whose weights are standard normal, and divided by the root of the inputs where they are used."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.factor = WEIGHT_PACE * max(1, inputs) ** -0.5
        self.weight = nn.Parameter(nn.init.normal_(torch.empty(inputs, outputs), 0, 1 / WEIGHT_PACE))
        self.bias = nn.Parameter(nn.init.normal_(torch.empty(outputs)))

    def forward(self, inputs: Float[Tensor, "batch inputs"]) -> Float[Tensor, "batch outputs"]:
        """Return the linear map of some rows."""
        return torch.addmm(self.bias, inputs, self.weight * self.factor)


class ParametricActivation(nn.Module):
    """An activation that each unit mixes with the identity, in a share that it learns from 1 on."""

    def __init__(self, kind: Activation, units: int) -> None:
        super().__init__()
        self.kind = kind
        self.shares = nn.Parameter(torch.ones(units))

    def forward(self, inputs: Float[Tensor, "batch units"]) -> Float[Tensor, "batch units"]:
        """Return x + share (activation(x) - x)."""
        return inputs + self.shares * (self.kind(inputs) - inputs)
