"""Many MLPs in one: members that share their weights, each with scales and heads of its own."""

import itertools
import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from unbroken.config import TaskName
from unbroken.features.spec import FeatureSpec
from unbroken.models.inputs import EmbeddingNetwork

STEPS, FIRST = 1 << 16, -(1 << 63)
"""The steps of a probability of 16 bits; the least number of 64."""


class TabM(EmbeddingNetwork):
    """An ensemble whose members learn at once, each by a loss of its own, and predict by their mean.

    TabM (Gorishniy, Kotelnikov and Babenko, 2025) over BatchEnsemble (Wen, Tran and Ba, 2020). Written out here, so that the
    digest of the library's source covers it, and nothing but our generator draws its weights.
    """

    def __init__(
        self,
        features: FeatureSpec,
        hidden: Sequence[int] = (128, 128),
        dropout: float = 0.1,
        members: int = 8,
        frequencies: int = 16,
        width: int = 4,
        scale: float = 0.1,
    ) -> None:
        """Draw the weights.

        Args:
            features: What goes in and comes out.
            hidden: Sizes of the hidden layers.
            dropout: Share of hidden units left out in training.
            members: How many networks there are in this one.
            frequencies: Cosines of each number.
            width: Size of the vector of each number, 2 or more.
            scale: Standard deviation of the frequencies, where half of a number's values lie within 1.
        """
        super().__init__(features, frequencies, width, scale)
        self.task, self.dropout = features.task, dropout
        parts = torch.tensor(self.inputs.widths, dtype=torch.long)
        # Members begin with the same weights: what makes them differ is how each weighs the inputs. A whole input, whose
        # vector stays one, gets one weight.
        weights = nn.init.normal_(torch.empty(members, 1, len(parts)))
        self.input_scales = nn.Parameter(weights.repeat_interleave(parts, dim=2))
        sizes = [self.inputs.width, *hidden]
        layers = [SharedLinear(before, after, members) for before, after in itertools.pairwise(sizes)]
        self.layers = nn.ModuleList(layers)
        reach = sizes[-1] ** -0.5
        self.heads = nn.Parameter(nn.init.uniform_(torch.empty(members, sizes[-1], features.outputs), -reach, reach))
        self.head_biases = nn.Parameter(nn.init.uniform_(torch.empty(members, 1, features.outputs), -reach, reach))

    def forward(
        self, numbers: Float[Tensor, "batch numbers"], codes: Int[Tensor, "batch categories"]
    ) -> Float[Tensor, "batch ..."]:
        """Return the logits of the members' mean; in training mode those of each, [batch, members, outputs]."""
        hidden = self.inputs(numbers, codes) * self.input_scales
        for layer in self.layers:
            hidden = rectify(layer(hidden), self.dropout if self.training else 0.0)
        outputs = torch.baddbmm(self.head_biases, hidden, self.heads).transpose(0, 1)
        return outputs if self.training else mean_of_members(outputs, self.task)


class SharedLinear(nn.Module):
    """A linear layer for each member, with one matrix for all, and a scale before it, a scale after it and a bias for each."""

    def __init__(self, inputs: int, outputs: int, members: int) -> None:
        super().__init__()
        reach = inputs**-0.5
        self.weight = nn.Parameter(nn.init.uniform_(torch.empty(inputs, outputs), -reach, reach))
        bias = nn.init.uniform_(torch.empty(1, 1, outputs), -reach, reach)
        self.before = nn.Parameter(torch.ones(members, 1, inputs))
        self.after = nn.Parameter(torch.ones(members, 1, outputs))
        self.bias = nn.Parameter(bias.repeat(members, 1, 1))

    def forward(self, inputs: Float[Tensor, "members batch inputs"]) -> Float[Tensor, "members batch outputs"]:
        """Return what each member's layer makes of its inputs."""
        # The scales go into the matrix, which is smaller than what goes through it.
        return torch.baddbmm(self.bias, inputs, self.before.transpose(1, 2) * self.weight * self.after)


def rectify(hidden: Float[Tensor, "*shape"], dropout: float) -> Float[Tensor, "*shape"]:
    """Return ReLU with dropout, as one product and from 16 random bits a value, which is faster on a processor than torch's.

    Args:
        hidden: What goes in.
        dropout: Share of the values left out, which is taken in steps of 1 / 65,536.
    """
    if not dropout:
        return hidden.relu()
    dropped = min(round(dropout * STEPS), STEPS - 1)
    draws = torch.empty(math.ceil(hidden.numel() / 4), dtype=torch.int64, device=hidden.device).random_(FIRST, None)
    bits = draws.view(torch.int16)[: hidden.numel()].view(hidden.shape)
    kept = (bits >= dropped - STEPS // 2).logical_and_(hidden.detach() > 0)
    return hidden * kept.to(hidden.dtype).mul_(STEPS / (STEPS - dropped))


def mean_of_members(outputs: Float[Tensor, "batch members outputs"], task: TaskName) -> Float[Tensor, "batch outputs"]:
    """Return the logits of the members' mean probabilities, for regression their mean value."""
    if task == "regression":
        return outputs.mean(1)
    if task == "multiclass":
        return outputs.log_softmax(2).logsumexp(1)
    return functional.logsigmoid(outputs).logsumexp(1) - functional.logsigmoid(-outputs).logsumexp(1)
