"""What a user can set of scoring."""

from dataclasses import dataclass

from unbroken.config.strict import STRICT
from unbroken.config.validation import require, require_no_credentials


@dataclass(frozen=True, kw_only=True)
class PredictConfig:
    """One scoring of a source."""

    __pydantic_config__ = STRICT

    model: str = "models/flights"
    """Folder of a model, whose champion scores, or a published checkpoint.pth."""
    source: str = "data/flights"
    """Parquet or CSV: a file, a folder, a glob or an fsspec URL; needs no label."""
    target: str = "predictions.parquet"
    """Parquet file to write."""
    keep: tuple[str, ...] = ()
    """Columns of the source that are copied before the predictions."""
    overwrite: bool = False
    """Replace a target that holds something else than predictions."""
    factory: str = "mlp"
    """The function that builds the model, if it is one of your own: it has to be the one that the checkpoint names."""
    device: str = "cpu"
    """Torch device. The last bits of the values depend on it."""

    def __post_init__(self) -> None:
        for name in ("model", "source", "target"):
            require(bool(getattr(self, name).strip()), name, getattr(self, name), "a path")
            require_no_credentials(name, getattr(self, name))
        require(self.target.endswith(".parquet"), "target", self.target, "a name that ends in .parquet")
