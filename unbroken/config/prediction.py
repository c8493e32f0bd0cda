"""What a user can set of scoring."""

from dataclasses import dataclass, field

from unbroken.config.resume import ResumeConfig
from unbroken.config.strict import STRICT
from unbroken.config.validation import require, require_local_path, require_named, require_no_credentials, require_types


@dataclass(frozen=True, kw_only=True)
class PredictConfig:
    """One scoring of a source."""

    __pydantic_config__ = STRICT

    model: str = ""
    """Folder of a model, whose champion scores, or a published checkpoint.pth. Needed."""
    source: str = ""
    """Parquet or CSV: a file, a folder, a glob or an fsspec URL; needs no label. Needed."""
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
    resume: ResumeConfig = field(default_factory=ResumeConfig)

    def __post_init__(self) -> None:
        require_types(self, "")
        for name in ("model", "source", "target"):
            unset = name != "target" and not getattr(self, name)
            require(unset or bool(getattr(self, name).strip()), name, getattr(self, name), "a path")
            require_no_credentials(name, getattr(self, name))
            if name != "source" and getattr(self, name):
                require_local_path(name, getattr(self, name))
        require(self.target.endswith(".parquet"), "target", self.target, "a name that ends in .parquet")

    def require_complete(self) -> None:
        """Raise ConfigError if the model or the source is not named; a form needs neither."""
        require_named("model", self.model, "the folder of a model, or a published checkpoint.pth")
        require_named("source", self.source, "a path, a glob or a URL of Parquet or CSV files")
