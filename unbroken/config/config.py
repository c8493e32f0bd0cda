"""All that a user can set of one training run, and which of it decides the weights."""

import dataclasses
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from unbroken.config.checkpoint import CheckpointConfig, NotifyConfig, TrackingConfig
from unbroken.config.chosen import Chosen, choose, needs_validation
from unbroken.config.data import DataConfig, PreprocessConfig, SplitConfig
from unbroken.config.model import ModelConfig, StartConfig
from unbroken.config.resume import ResumeConfig
from unbroken.config.training import ComputeConfig, TrainingConfig, length_from_epochs, plateau_mode
from unbroken.config.validation import STRICT, require, require_local_path, require_run_name, require_types


@dataclass(frozen=True, kw_only=True)
class Config:
    """One training run."""

    __pydantic_config__ = STRICT

    data: DataConfig = field(default_factory=DataConfig)
    preprocess: PreprocessConfig = field(default_factory=PreprocessConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    start: StartConfig = field(default_factory=StartConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    compute: ComputeConfig = field(default_factory=ComputeConfig)
    resume: ResumeConfig = field(default_factory=ResumeConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    notify: NotifyConfig = field(default_factory=NotifyConfig)
    runs_folder: str = "runs"
    """Folder that holds one private folder per run."""
    name: str | None = None
    """A name for the run, which `unbroken runs` takes in place of its folder; another name is no other run."""

    def __post_init__(self) -> None:
        require_types(self, "")
        if self.name is not None:
            require_run_name(self.name)
        require_local_path("runs_folder", self.runs_folder)
        workers, parts = self.compute.workers, self.training.micro_batches
        most = f"at most training.micro_batches, {parts}: each process computes at least one. Set that, e.g. to 8: another run"
        require(workers <= parts, "compute.workers", workers, most)
        needs = needs_validation(self.training, self.checkpoint)
        has_part = not needs or self.chosen.validates
        expected = f"above 0 for {', '.join(needs)}: only rows that validate choose, so that the test rows stay unseen"
        require(has_part, "split.validation_fraction", self.split.validation_fraction, expected)

    @cached_property
    def chosen(self) -> Chosen:
        """What the automatic settings come to: read these where a setting can be `auto`."""
        return choose(self.data, self.preprocess, self.split, self.model, self.start, self.training, self.checkpoint)

    @property
    def initial_learning_rate(self) -> float:
        """The optimizer's first `lr`: `training.learning_rate`, in a warm start times `start.learning_rate_factor`."""
        return self.training.learning_rate * (self.start.learning_rate_factor if self.start.warm_from else 1.0)


LATER_SETTINGS = {
    "data": ("csv", "keep", "max_columns", "max_expansion", "null_labels", "null_words", "positive", "types"),
    "training": ("accumulate", "members", "micro_batches", "precision", "ema_decay"),
}
"""Settings that are newer than the first runs: left out at their defaults, so that the keys of those stay."""


FIRST_MONITOR = "test_loss"
"""What stands for no monitor: the first runs had this one, and chose nothing by it."""


def identity(config: Config) -> dict[str, Any]:
    """Return the settings that decide the weights: all but the places, the saving, the resuming and the number of epochs.

    The number of epochs counts when the learning rate's schedule takes its length from it.
    """
    settings, chosen = _without_later_defaults(config), config.chosen
    del settings["data"]["source"]
    settings["preprocess"] = dataclasses.asdict(chosen.preprocess)
    if chosen.preprocess.min_category_count == 1:  # as in the first runs
        del settings["preprocess"]["min_category_count"]
    settings["split"] = dataclasses.asdict(chosen.split)
    settings["model"] = dataclasses.asdict(chosen.model)
    settings["training"] |= {"monitor": chosen.monitor or FIRST_MONITOR, "patience": chosen.patience}
    settings["training"] |= {"epochs": chosen.epochs, "test_scores": chosen.test_scores}
    if not length_from_epochs(config.training):
        del settings["training"]["epochs"]
    if chosen.test_scores == "every_epoch":  # as in the first runs
        del settings["training"]["test_scores"]
    del settings["training"]["memory_limit"]
    if plateau_mode(config.training, chosen.monitor) == "max":
        # Torch's default is another one; so this was another training while it was taken.
        settings["training"]["scheduler_options"] = {"mode": "max"} | settings["training"]["scheduler_options"]
    for name in ("checkpoint", "compute", "resume", "tracking", "notify", "runs_folder", "name"):
        del settings[name]
    # The checkpoint of a warm start counts by its content, as the data does, and not by its place.
    if settings["start"].pop("warm_from") is None:
        del settings["start"]
    return settings


def _without_later_defaults(config: Config) -> dict[str, Any]:
    settings, defaults = dataclasses.asdict(config), dataclasses.asdict(Config())
    for group, names in LATER_SETTINGS.items():
        for name in names:
            if settings[group][name] == defaults[group][name]:
                del settings[group][name]
    return settings
