"""Model factories that a training must refuse before its first step."""

from typing import Any

import torch
from torch import Tensor, nn

from unbroken.features.spec import FeatureSpec

NOT_CALLABLE = 3


class Shaped(nn.Module):
    """Gives a tensor of some shape whatever it is given."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(shape))

    def forward(self, numbers: Tensor, codes: Tensor) -> Tensor:
        return self.weight


class Unready(nn.Module):
    """Takes one input instead of two."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, numbers: Tensor) -> Tensor:
        return numbers.sum(1, keepdim=True) * self.weight


class TooWide(nn.Module):
    """Expects more numbers than there are."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(999, 1)

    def forward(self, numbers: Tensor, codes: Tensor) -> Tensor:
        return self.layer(numbers)


class Twofold(nn.Module):
    """Gives two tensors."""

    def forward(self, numbers: Tensor, codes: Tensor) -> Any:
        return numbers, codes


def no_module(features: FeatureSpec) -> dict[str, Any]:
    return {}


def no_arguments() -> nn.Module:
    return nn.Identity()


def wrong_shape(features: FeatureSpec) -> nn.Module:
    return Shaped(2, features.outputs + 2)


def one_input(features: FeatureSpec) -> nn.Module:
    return Unready()


def too_wide(features: FeatureSpec) -> nn.Module:
    return TooWide()


def twofold(features: FeatureSpec) -> nn.Module:
    return Twofold()


def whole(features: FeatureSpec) -> nn.Module:
    class Whole(Shaped):
        def forward(self, numbers: Tensor, codes: Tensor) -> Tensor:
            return (numbers[:, :1] * self.weight).long()

    return Whole(1)


def named(features: FeatureSpec) -> nn.Module:
    class Named(nn.Module):
        def forward(self, numbers: Tensor, codes: Tensor) -> Any:
            return {"logits": numbers[:, :1]}

    return Named()


def no_parameters(features: FeatureSpec) -> nn.Module:
    class Constant(nn.Module):
        def forward(self, numbers: Tensor, codes: Tensor) -> Tensor:
            return numbers[:, :1]

    return Constant()
