"""Many MLPs in one: members that share their weights, each with scales and heads of its own."""

import itertools
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from unbroken.config import TaskName
from unbroken.features.spec import FeatureSpec
from unbroken.models.inputs import EmbeddingNetwork


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
            hidden = functional.dropout(layer(hidden).relu(), self.dropout, self.training)
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
        return torch.addcmul(self.bias, (inputs * self.before) @ self.weight, self.after)


def mean_of_members(outputs: Float[Tensor, "batch members outputs"], task: TaskName) -> Float[Tensor, "batch outputs"]:
    """Return the logits of the members' mean probabilities, for regression their mean value."""
    if task == "regression":
        return outputs.mean(1)
    if task == "multiclass":
        return outputs.log_softmax(2).logsumexp(1)
    return functional.logsigmoid(outputs).logsumexp(1) - functional.logsigmoid(-outputs).logsumexp(1)
