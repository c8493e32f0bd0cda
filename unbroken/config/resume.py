"""What a user can set of going on where the code has changed."""

from dataclasses import dataclass

from unbroken.config.validation import STRICT, require_types


@dataclass(frozen=True, kw_only=True)
class ResumeConfig:
    """How a run or a model is used by other code than trained it; what it was trained with is not among these settings."""

    __pydantic_config__ = STRICT

    accept_code: bool = False
    """Go on although the library's code, torch or a module of the model's own is not the one that trained so far. It is noted
    in the journal and in the lineage, and the run is not called exact any more."""

    def __post_init__(self) -> None:
        require_types(self, "resume.")
