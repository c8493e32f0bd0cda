"""What a user can set of saving, and of who is told of a run."""

import importlib.util
import re
from dataclasses import dataclass
from typing import Literal

from unbroken.config.validation import STRICT, number, require, require_no_credentials, require_types

BLOCK = re.compile("[a-z0-9-]+/[a-z0-9-]+")
"""How Prefect names a block: its type and its name."""


@dataclass(frozen=True, kw_only=True)
class CheckpointConfig:
    """When checkpoints are written, beyond one at the end of each epoch, and which are kept."""

    __pydantic_config__ = STRICT

    every_steps: int | None = number(None, least=1)
    """Also write one every so many steps."""
    every_seconds: float | Literal["auto"] | None = number(60.0, above=0)
    """Also write one when so many seconds have passed since the last; `auto` computes them from what one costs here."""
    hours_between_failures: float = number(24.0, above=0)
    """Mean time between two failures of the machine or its processes, for `auto`."""
    keep_last: int = number(2, least=2)
    """How many of the newest are kept, at least 2, so that a corrupt one has a whole one behind it."""
    publish: Literal["auto", "last", "best"] = "auto"
    """Which epoch becomes `checkpoint.pth`: the last, or the best by `training.monitor`, which is always kept. `auto` is the
    best where rows validate."""
    baseline: Literal["auto", "constant", "trees"] = "auto"
    """What stands beside the model's test metrics: a constant guess alone, or scikit-learn's gradient boosting too, where 500 rows
    to 10 million values train and the extra `sklearn` is installed. `auto` is `trees`; `constant` for the sample."""
    wait: bool = True
    """Wait while another process trains this run, or another thread of this process any run; otherwise fail at once."""

    def __post_init__(self) -> None:
        require_types(self, "checkpoint.")


@dataclass(frozen=True, kw_only=True)
class TrackingConfig:
    """An MLflow server that is told of the run; the weights do not depend on it."""

    __pydantic_config__ = STRICT

    uri: str | None = None
    """URL of the server, e.g. `http://127.0.0.1:5000`; off when not given. Credentials come from the environment as MLflow reads
    it, e.g. MLFLOW_TRACKING_TOKEN. Needs the extra `mlflow`."""
    experiment: str = "unbroken"
    """Name of the experiment there."""

    def __post_init__(self) -> None:
        require_types(self, "tracking.")
        require(bool(self.experiment.strip()), "tracking.experiment", self.experiment, "a name")
        if self.uri is not None:
            require_no_credentials("tracking.uri", self.uri)
            require("://" in self.uri, "tracking.uri", self.uri, "a URL such as http://127.0.0.1:5000")
            installed = importlib.util.find_spec("mlflow") is not None
            require(
                installed,
                "tracking.uri",
                self.uri,
                "none, since mlflow is not installed: pip install 'unbroken[mlflow]'",
            )


@dataclass(frozen=True, kw_only=True)
class NotifyConfig:
    """Whom Prefect tells when a model is promoted or not, or a run is given up; the weights do not depend on it."""

    __pydantic_config__ = STRICT

    block: str | None = None
    """A notification block of the Prefect server by type and name, e.g. `slack-webhook/ops`; off when not given. It is told
    once of each promotion, each refusal (the champion stays, or the data are blocked) and of a deployed run that crashed too
    often. Needs Prefect."""

    def __post_init__(self) -> None:
        require_types(self, "notify.")
        if self.block is not None:
            require(
                BLOCK.fullmatch(self.block) is not None,
                "notify.block",
                self.block,
                "a type and a name: slack-webhook/ops",
            )
