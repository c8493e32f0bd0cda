"""What a user can set of scoring."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from unbroken.config.resume import ResumeConfig
from unbroken.config.training import DEVICES
from unbroken.config.validation import (
    STRICT,
    choice,
    number,
    require,
    require_local_path,
    require_named,
    require_no_credentials,
    require_types,
)


@dataclass(frozen=True, kw_only=True)
class PredictConfig:
    """One scoring of a source."""

    __pydantic_config__ = STRICT

    model: str = ""
    """Folder of a model, whose champion scores, or a published checkpoint.pth. Needed."""
    source: str = ""
    """Parquet or CSV: a file, a folder, a glob or an fsspec URL; needs no label. When not given, the files that the last round
    of retraining brought to the model."""
    target: str | None = None
    """Parquet file to write. When not given, one for each version of the model and content of the source, in
    `predictions_folder`, where what stands already is not computed again."""
    predictions_folder: str = "predictions"
    """Folder of the predictions that are given no target: `<model>/<version>/<source>.parquet`."""
    keep: tuple[str, ...] = ()
    """Columns of the source that are copied before the predictions."""
    overwrite: bool = False
    """Replace a target that holds something else than predictions."""
    interval: float | None = number(None, above=0, below=1)
    """Share of cases, e.g. 0.9, in which `low` .. `high`, or for classes the list `classes`, hold the truth, which are then written
    too; by how far off the model was on the rows that validated it."""
    factory: str | None = None
    """The function that builds the model, if it is one of your own and not the project's: it has to be the one that the
    checkpoint names. The champion of a registry in the project needs none while its source is that which it was promoted with."""
    public_key: str | None = None
    """PEM file of the public key whose owner has to have signed the model: see `promotion.signing_key` of a retraining. When not
    given, a version of a registry is verified with the key that UNBROKEN_PUBLIC_KEY names, if it names one."""
    device: str = choice("cpu", DEVICES)
    """Torch device. The last bits of the values depend on it."""
    resume: ResumeConfig = field(default_factory=ResumeConfig)

    def __post_init__(self) -> None:
        require_types(self, "")
        for name in ("model", "source", "target", "predictions_folder", "public_key"):
            value = getattr(self, name)
            if value is None or (not value and name in ("model", "source")):
                continue
            require(bool(value.strip()), name, value, "a path")
            require_no_credentials(name, value)
            if name != "source":
                require_local_path(name, value)
        if self.target is not None:
            require(self.target.endswith(".parquet"), "target", self.target, "a name that ends in .parquet")

    def require_complete(self) -> None:
        """Raise ConfigError if the model is not named; a form does not need it."""
        require_named("model", self.model, "the folder of a model, or a published checkpoint.pth")

    def for_model(self, model: str) -> "PredictConfig":
        """Return the settings for another model, for the same one where none is named."""
        return replace(self, model=model) if model else self

    @property
    def title(self) -> str:
        """What is scored by what, for a person."""
        return f"{self.source or 'new rows'} by {self.model}"

    @property
    def place(self) -> str:
        """The target, or the folder where the model's predictions lie."""
        return self.target or str(Path(self.predictions_folder) / Path(self.model).name)
