"""A model that fails once, in the middle of a training."""

import os
from pathlib import Path

from jaxtyping import Float, Int
from torch import Tensor

from unbroken.features.spec import FeatureSpec
from unbroken.models.mlp import MLP


class FailsOnce(MLP):
    """Raises a RuntimeError in one forward pass of training, the first time a marker file is not there."""

    def __init__(self, features: FeatureSpec, marker: str, at_step: int) -> None:
        super().__init__(features, hidden=[8], dropout=0.2)
        self.marker, self.at_step, self.steps = Path(marker), at_step, 0

    def forward(
        self, numbers: Float[Tensor, "batch numbers"], codes: Int[Tensor, "batch categories"]
    ) -> Float[Tensor, "batch outputs"]:
        self.steps += self.training
        if self.steps == self.at_step and not self.marker.exists():
            self.marker.write_text(f"failed in process {os.getpid()}")
            raise RuntimeError("the device was lost")
        return super().forward(numbers, codes)
