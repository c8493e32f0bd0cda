"""What a user can set of retraining."""

from dataclasses import dataclass, field, replace
from typing import Literal

from unbroken.config.config import Config
from unbroken.config.data import SplitConfig, require_source
from unbroken.config.metrics import METRICS
from unbroken.config.validation import STRICT, choice, number, require, require_local_path, require_named, require_types

Rule = Literal["block", "warn", "ignore"]


def gate_metrics() -> tuple[str, ...]:
    """Return what the gate may judge by; `auto` leaves it to the task."""
    return ("auto", *(metric.name for metric in METRICS.values() if metric.gated))


@dataclass(frozen=True, kw_only=True)
class ChecksConfig:
    """What new rows may look like, measured against the rows the champion was trained on.

    A missing column, a column of another kind, a row without a label and a class that the champion does not know always
    block: there is nothing to score them with. The rules below say what follows when their limit is exceeded.
    """

    __pydantic_config__ = STRICT

    nulls: Rule = "block"
    """The share of missing values of a feature rose by more than `null_rise`."""
    null_rise: float = number(0.5, least=0.0)
    """Largest rise of that share, 0 .. 1."""
    ranges: Rule = "warn"
    """More than `outside_share` of a number's values lie below the least or above the greatest of training."""
    outside_share: float = number(0.05, least=0.0)
    """Largest share of values outside, 0 .. 1."""
    unseen: Rule = "warn"
    """More than `unseen_share` of a category's values were never seen in training."""
    unseen_share: float = number(0.05, least=0.0)
    """Largest share of unseen values, 0 .. 1."""
    label: Rule = "warn"
    """The share of a class, or for regression the mean in standard deviations, moved by more than `label_shift`."""
    label_shift: float = number(0.2, least=0.0)
    """Largest move of the label."""
    psi: Rule = "warn"
    """The population stability index of a feature is above `psi_limit`."""
    psi_limit: float = number(0.25, least=0.0)
    """Largest index; by convention 0.1 is a small shift and 0.25 a large one."""
    ks: Rule = "ignore"
    """The Kolmogorov-Smirnov distance of a number is above `ks_limit`."""
    ks_limit: float = number(0.2, least=0.0)
    """Largest distance of the two cumulative distributions, 0 .. 1."""

    def __post_init__(self) -> None:
        require_types(self, "checks.")


@dataclass(frozen=True, kw_only=True)
class GateConfig:
    """When the challenger takes the champion's place. A tie keeps the champion."""

    __pydantic_config__ = STRICT

    metric: str = choice("auto", gate_metrics)
    """What is compared; `auto` is auroc for classes and rmse for regression."""
    margin: float = number(0.0, least=0.0)
    """Gain, in units of the metric, that the lower end of its confidence interval has to exceed."""
    confidence: float = number(0.95, above=0.5, below=1)
    """Confidence of the two-sided bootstrap interval, above 0.5 and below 1."""
    resamples: int = number(1000, least=100)
    """Bootstrap resamples, at least 100."""
    slices: tuple[str, ...] = ()
    """Columns whose every value is a slice on which the challenger may not fall far behind."""
    slice_bound: float = number(0.02, least=0.0)
    """Largest loss, in units of the metric, on any slice."""
    slice_rows: int = number(200, least=1)
    """Smallest slice that counts."""
    replace: bool = False
    """Whether a challenger that the champion cannot be compared with, since the settings name another label, another task
    or other features, may take its place: it begins anew on all rows, judged against a constant guess as the first one is."""
    champion_factory: str | None = None
    """What builds the champion's model, if that is neither a preset nor `train.model.factory`."""

    def __post_init__(self) -> None:
        require_types(self, "gate.")
        auto, *names = gate_metrics()
        require(self.metric in (auto, *names), "gate.metric", self.metric, f"{auto} or one of {', '.join(names)}")


@dataclass(frozen=True, kw_only=True)
class PromotionConfig:
    """What a challenger that won needs beside its win."""

    __pydantic_config__ = STRICT

    approve: bool = False
    """Whether it becomes the champion only when a person says so: the round ends, the champion stays, and
    `unbroken registry approve MODEL VERSION`, or `refuse`, decides, whenever that is."""
    signing_key: str | None = None
    """PEM file of a private key (P-256, P-384 or P-521), by which a winner's checkpoint and manifest are signed before it becomes
    the champion; its public key lets `predict` and `unbroken.load` verify them. Needs the extra `signing`."""

    def __post_init__(self) -> None:
        require_types(self, "promotion.")
        if self.signing_key is not None:
            require(bool(self.signing_key.strip()), "promotion.signing_key", self.signing_key, "the path of a PEM file")
            require_local_path("promotion.signing_key", self.signing_key)


@dataclass(frozen=True, kw_only=True)
class RetrainConfig:
    """One model that is retrained as new rows come."""

    __pydantic_config__ = STRICT

    model: str = ""
    """Name of the model: its folder in `models_folder`. Needed."""
    models_folder: str = "models"
    """Folder that holds one private folder per model: its versions, its champion, its audit log."""
    watermark_column: str | None = None
    """Timestamp or date column that tells which rows are new: those later than all before, so that a late row with an
    early time is passed over. When not given, a file is new if its content is."""
    on_broken_file: Literal["block", "skip"] = "block"
    """What follows of a new file that cannot be read, lacks a column of the champion's or has rows without a label that it
    knows: `block` ends the round, `skip` leaves the file out, names it in log and report, and looks at it again next time."""
    replay: float = number(0.5, least=0.0)
    """Older rows mixed into the training, as a multiple of the new training rows, so that the model does not forget."""
    start: Literal["auto", "scratch"] = "auto"
    """`auto` starts from the champion's weights if there is one, by the settings in `train.start`."""
    holdout: SplitConfig = field(default_factory=SplitConfig)
    """Which of the new rows judge champion and challenger; no training sees them."""
    checks: ChecksConfig = field(default_factory=ChecksConfig)
    gate: GateConfig = field(default_factory=GateConfig)
    promotion: PromotionConfig = field(default_factory=PromotionConfig)
    train: Config = field(default_factory=Config)
    """How the challenger is trained; `train.data.source` is where new rows arrive."""

    def __post_init__(self) -> None:
        require_types(self, "")
        require_local_path("models_folder", self.models_folder)
        plain = self.model.replace("-", "").replace("_", "").replace(".", "").isalnum() and self.model[0].isalnum()
        require(plain or not self.model, "model", self.model, "letters, digits, '-', '_' and '.'")
        fraction = self.holdout.validation_fraction
        require(
            fraction in (0, "auto"), "holdout.validation_fraction", fraction, "0; set train.split.validation_fraction"
        )
        warm_from = self.train.start.warm_from
        require(self.train.name is None, "train.name", self.train.name, "none: each round is a run of its own")
        require(warm_from is None, "train.start.warm_from", warm_from, "none: retraining starts from the champion")

    @property
    def judges(self) -> SplitConfig:
        """Which of the new rows judge: the hold-out, of which no rows validate."""
        return replace(self.holdout, validation_fraction=0.0)

    def require_complete(self) -> None:
        """Raise ConfigError if the model or the source of new rows is not named; a form needs neither."""
        require_named("model", self.model, "the name of a model, which becomes its folder in models_folder")
        require_source("train.data.source", self.train.data.source)
