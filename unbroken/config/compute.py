"""What a user can set of the processes that train together; the weights do not depend on it."""

from dataclasses import dataclass
from typing import Literal

from unbroken.config.validation import STRICT, number, require_types


@dataclass(frozen=True, kw_only=True)
class ComputeConfig:
    """How many processes train together. The weights depend on `training.micro_batches` alone, whatever stands here."""

    __pydantic_config__ = STRICT

    workers: int = number(1, least=1)
    """Processes that compute the gradient of each step together, at most `training.micro_batches`. It pays for large models and
    batches alone: see `docs/scale.md`."""
    engine: Literal["local"] = "local"
    """What starts them: `local`, processes on this machine. Elsewhere torchrun starts them, and this is not set."""
    restarts: int = number(10, least=0)
    """How often they are all started again from the newest checkpoint where one of them died."""

    def __post_init__(self) -> None:
        require_types(self, "compute.")
