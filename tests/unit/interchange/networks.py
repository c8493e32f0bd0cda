"""Networks of one's own: one that torch can trace, and some that it or a format cannot take."""

import torch
from torch import Tensor, nn

from unbroken.features.spec import FeatureSpec


class Plain(nn.Module):
    """A linear map of the numbers, the codes left out."""

    def __init__(self, features: FeatureSpec) -> None:
        super().__init__()
        self.last = nn.Linear(len(features.numbers), features.outputs)

    def forward(self, numbers: Tensor, codes: Tensor) -> Tensor:
        return self.last(numbers)


class BranchesOnValues(Plain):
    """What it computes depends on a value, which no graph can know."""

    def forward(self, numbers: Tensor, codes: Tensor) -> Tensor:
        logits = self.last(numbers)
        return logits if numbers.sum().item() > 1 else 2 * logits


class Bessel(Plain):
    """It computes what torch can trace and ONNX has no operator for."""

    def forward(self, numbers: Tensor, codes: Tensor) -> Tensor:
        return self.last(torch.special.bessel_j0(numbers))


class KnowsTraining(Plain):
    """It computes otherwise while torch traces it: what leaves is another model."""

    def forward(self, numbers: Tensor, codes: Tensor) -> Tensor:
        return self.last(numbers) + (0.5 if torch.compiler.is_exporting() else 0.0)
