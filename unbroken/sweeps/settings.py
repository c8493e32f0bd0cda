"""What a user can set of a sweep; which of it decides the study."""

from dataclasses import dataclass, field
from typing import Any

from unbroken.config import Config
from unbroken.config.data import require_source
from unbroken.config.validation import (
    STRICT,
    choice,
    number,
    require,
    require_local_path,
    require_named,
    require_run_name,
    require_types,
)

SAMPLERS = ("GPSampler", "GridSampler", "QMCSampler", "RandomSampler", "TPESampler")
PRUNERS = ("HyperbandPruner", "MedianPruner", "PercentilePruner", "SuccessiveHalvingPruner", "ThresholdPruner")
MOST_TRIALS = 100_000


@dataclass(frozen=True, kw_only=True)
class SweepConfig:
    """One sweep: many trainings whose settings a sampler draws, compared on the rows that validate."""

    __pydantic_config__ = STRICT

    space: str = ""
    """TOML file with the settings to search, by their dotted names: `"training.learning_rate" = { low = 1e-4, high = 1e-1,
    log = true }`, `"training.batch_size" = { choices = [64, 256] }`. Needed."""
    trials: int = number(30, least=1, most=MOST_TRIALS)
    """Trainings in all, those already done included: raise it to go on; fewer where the space has no more."""
    seed: int = 0
    """Seed of what is drawn."""
    sampler: str = choice("TPESampler", SAMPLERS)
    """Name of a class in `optuna.samplers`: GPSampler, GridSampler, QMCSampler, RandomSampler or TPESampler."""
    sampler_options: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments of the sampler; its seed is set."""
    pruner: str | None = choice("MedianPruner", PRUNERS)
    """Name of a class in `optuna.pruners` that ends a trial early by the monitored metric of its epochs: HyperbandPruner,
    MedianPruner, PercentilePruner, SuccessiveHalvingPruner or ThresholdPruner; none when null."""
    pruner_options: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments of the pruner. HyperbandPruner takes a `max_resource` left out from `training.epochs`; MedianPruner and
    PercentilePruner leave the first 5 epochs alone, at most a quarter of all, where `n_warmup_steps` is left out."""
    parallel: int = number(4, least=1)
    """How many trials are drawn before the first of them has to be over: trial n is drawn and pruned by what is known of the
    trials up to n - parallel, whenever the later ones end. Another number is another study."""
    workers: int = number(1, least=1)
    """Processes that train at the same time, at most `parallel`. The study does not depend on it."""
    folder: str = "sweeps"
    """Folder that holds one private folder per sweep: its journal, its trials, its report."""

    train: Config = field(default_factory=Config)
    """How each trial is trained, where the space does not say otherwise; the best becomes a run in its `runs_folder`, named
    `name`, else after the sweep."""

    def __post_init__(self) -> None:
        require_types(self, "sweep.")
        require_local_path("sweep.folder", self.folder)
        require(self.sampler in SAMPLERS, "sweep.sampler", self.sampler, f"one of {', '.join(SAMPLERS)}")
        known = self.pruner is None or self.pruner in PRUNERS
        require(known, "sweep.pruner", self.pruner, f"one of {', '.join(PRUNERS)}, or null for none")
        seeded = "seed" not in self.sampler_options
        require(seeded, "sweep.sampler_options", self.sampler_options, "no `seed`: that is sweep.seed")
        most = f"at most sweep.parallel, {self.parallel}: set that too, it is part of the study"
        require(self.workers <= self.parallel, "sweep.workers", self.workers, most)

    def require_complete(self) -> None:
        """Raise ConfigError if the space or the data are not named, or the settings of the training do not fit a sweep."""
        require_named("sweep.space", self.space, "a TOML file with the settings to search")
        require_local_path("sweep.space", self.space)
        train = self.train
        require_source("data.source", train.data.source)
        by = "above 0: trials are compared on the rows that validate, never on those that test"
        require(train.chosen.validates, "split.validation_fraction", train.split.validation_fraction, by)
        once = "'auto' or 'once': the test rows are scored for the best trial alone"
        require(train.chosen.test_scores == "once", "training.test_scores", train.training.test_scores, once)
        best = "'auto' or 'best': a trial counts by its best epoch, so that is what is published"
        require(train.chosen.publish == "best", "checkpoint.publish", train.checkpoint.publish, best)
        alone = "1: a trial trains in one process; set sweep.workers for trials at the same time"
        require(train.compute.workers == 1, "compute.workers", train.compute.workers, alone)
        if train.name is not None:
            require_run_name(train.name)
