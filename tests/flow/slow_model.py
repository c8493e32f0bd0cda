"""A model whose training waits for a test: it takes its time on any machine, and hardly any of the processor's."""

import os
import time
from pathlib import Path

from jaxtyping import Float, Int
from torch import Tensor

from unbroken.models.mlp import MLP

RESTING = "UNBROKEN_TEST_RESTING"
"""Names the file in the environment; no setting, since the bytes of a checkpoint do not depend on it."""
SECONDS = 0.25


class Slow(MLP):
    """Rests before each step of a training, as long as a file is there."""

    def forward(
        self, numbers: Float[Tensor, "batch numbers"], codes: Int[Tensor, "batch categories"]
    ) -> Float[Tensor, "batch outputs"]:
        if self.training and Path(os.environ.get(RESTING, "/nowhere")).exists():
            time.sleep(SECONDS)
        return super().forward(numbers, codes)
