"""What the stages give: small, frozen values of paths and digests."""

from dataclasses import dataclass
from pathlib import Path

from unbroken.data.dataset import Dataset
from unbroken.data.split import Assignment
from unbroken.storage.artifact import Artifact

UNDEFINED_AS_NAN = {"ser_json_inf_nan": "constants"}
"""How pydantic writes a metric that its rows do not define: JSON's null would not be a number when it is read."""


@dataclass(frozen=True, kw_only=True)
class Preprocessed:
    """All rows as the model's inputs, the encoder that made them, and the part of each row."""

    dataset: Dataset
    encoder: Artifact
    assignment: Assignment

    def __str__(self) -> str:
        return f"{self.dataset} in 0 .. 1"


@dataclass(frozen=True, kw_only=True)
class Checkpoint(Artifact):
    """The checkpoint of the end of an epoch; `epoch` is how many are done, `step` how many steps."""

    epoch: int
    step: int

    def __str__(self) -> str:
        return f"epoch {self.epoch}, step {self.step:,}"


@dataclass(frozen=True, kw_only=True)
class Published(Artifact):
    """`checkpoint.pth`, its manifest `checkpoint.json`, and which epoch it holds."""

    manifest: Artifact
    epoch: int

    def __str__(self) -> str:
        return f"epoch {self.epoch} as {Path(self.path).name}"


@dataclass(frozen=True, kw_only=True)
class Restored(Artifact):
    """A published checkpoint that was restored and gave the recorded metrics again; training continues from it."""

    __pydantic_config__ = UNDEFINED_AS_NAN

    epoch: int
    step: int
    metrics: dict[str, float]

    def __str__(self) -> str:
        return f"epoch {self.epoch} restored, {len(self.metrics)} metrics equal to the bit"
