"""A model whose training takes its time on a fast machine and on a busy one, and hardly any of the processor's."""

import time

from jaxtyping import Float, Int
from torch import Tensor

from unbroken.features.spec import FeatureSpec
from unbroken.models.mlp import MLP


class Slow(MLP):
    """Rests before each step of a training."""

    def __init__(self, features: FeatureSpec, seconds: float) -> None:
        super().__init__(features, hidden=[8], dropout=0.2)
        self.seconds = seconds

    def forward(
        self, numbers: Float[Tensor, "batch numbers"], codes: Int[Tensor, "batch categories"]
    ) -> Float[Tensor, "batch outputs"]:
        if self.training:
            time.sleep(self.seconds)
        return super().forward(numbers, codes)
