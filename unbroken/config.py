"""What a user can set. Plain frozen values: no file is read and no torch imported here."""

import dataclasses
import importlib.util
import math
from dataclasses import dataclass, field
from typing import Any, Literal

from unbroken.checks import require, require_no_credentials, require_path, require_types

TaskName = Literal["binary", "multiclass", "regression"]

STRICT = {"extra": "forbid", "hide_input_in_errors": True}

MOST_THREADS = 1024

BLOCK_ROWS = 1 << 10
"""Rows that are read from disk together."""


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Where the rows come from and what the columns mean."""

    __pydantic_config__ = STRICT

    source: str = "data/flights"
    """Parquet or CSV (also .gz): a file, a folder (also Hive-partitioned), a glob or an fsspec URL;
    or `sample`, the built-in 1000 x 10 example.
    Credentials for a URL come from the environment as fsspec reads it, e.g. FSSPEC_S3_KEY."""
    label: str | None = None
    """Column to predict; the last column when not given."""
    include: tuple[str, ...] = ()
    """Feature columns to use; all but the label when empty."""
    exclude: tuple[str, ...] = ()
    """Feature columns to leave out."""
    categories: tuple[str, ...] = ()
    """Integer columns that are names, not amounts: each value gets a code and an embedding."""
    task: Literal["auto", "binary", "multiclass", "regression"] = "auto"
    """What is predicted; `auto` decides by the label: 2 values binary, text or up to 20 integers multiclass, else regression."""

    def __post_init__(self) -> None:
        require_types(self, "data.")
        require_path("data.source", self.source)
        require_no_credentials("data.source", self.source)
        require("::" not in self.source, "data.source", self.source, "a URL of one file system, without ::")
        require(self.label != "", "data.label", self.label, "the name of a column")
        for name, columns in (("include", self.include), ("exclude", self.exclude), ("categories", self.categories)):
            twice = sorted({column for column in columns if columns.count(column) > 1})
            require(not twice, f"data.{name}", twice, "each column once")
            require(name == "categories" or self.label not in columns, f"data.{name}", self.label, "not the label")
        both = sorted(set(self.include) & set(self.exclude))
        require(not both, "data.include and data.exclude", both, "no column in both")


@dataclass(frozen=True, kw_only=True)
class PreprocessConfig:
    """How columns become numbers in 0 .. 1 and category codes. Everything is fitted on training rows only."""

    __pydantic_config__ = STRICT

    clip_quantile: float = 0.0
    """Share of a numeric column's training values cut off at each end before scaling, 0 .. 0.25; 0 scales by min and max."""
    max_categories: int = 1000
    """Most frequent values of a category column that get a code of their own; the rest share the code of unseen values."""

    def __post_init__(self) -> None:
        require_types(self, "preprocess.")
        require(0 <= self.clip_quantile <= 0.25, "preprocess.clip_quantile", self.clip_quantile, "0 .. 0.25")
        require(self.max_categories >= 1, "preprocess.max_categories", self.max_categories, "at least 1")


@dataclass(frozen=True, kw_only=True)
class SplitConfig:
    """Which rows train and which test: a pure function of the rows and the seed."""

    __pydantic_config__ = STRICT

    kind: Literal["random", "stratified", "group", "time"] = "random"
    """`stratified` keeps the shares of the classes, `group` keeps rows of one group together, `time` tests on the latest rows."""
    test_fraction: float = 0.2
    """Share of the rows that test, above 0 and below 1."""
    validation_fraction: float = 0.0
    """Share of the rows held out to choose the best epoch or stop early; 0 for none."""
    column: str | None = None
    """Column that groups or dates the rows, for `group` and `time`."""
    seed: int = 0
    """Seed of the assignment."""

    def __post_init__(self) -> None:
        require_types(self, "split.")
        require(0 < self.test_fraction < 1, "split.test_fraction", self.test_fraction, "above 0 and below 1")
        held_out = self.test_fraction + self.validation_fraction
        require(self.validation_fraction >= 0, "split.validation_fraction", self.validation_fraction, "0 or more")
        require(held_out < 1, "split.test_fraction + split.validation_fraction", held_out, "below 1")
        needs = self.kind in ("group", "time")
        require(
            needs == (self.column is not None), "split.column", self.column, "a column for group and time, else none"
        )


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The network."""

    __pydantic_config__ = STRICT

    factory: str = "mlp"
    """`mlp`, or `package.module:function` that takes a `Features` and the options and returns a `torch.nn.Module`."""
    options: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments of the factory; for `mlp`: hidden (layer sizes, default [128, 64]) and dropout (0 .. 1, default 0)."""

    def __post_init__(self) -> None:
        require_types(self, "model.")
        module, _, function = self.factory.partition(":")
        named = all(part.isidentifier() for part in [*module.split("."), function])
        require(self.factory == "mlp" or named, "model.factory", self.factory, "'mlp' or 'package.module:function'")


@dataclass(frozen=True, kw_only=True)
class StartConfig:
    """Where the weights of a new run come from; a run that has a checkpoint always goes on from that."""

    __pydantic_config__ = STRICT

    warm_from: str | None = None
    """Published checkpoint to start from, its manifest beside it; from random weights when not given."""
    scaler: Literal["keep", "refit"] = "keep"
    """`keep` uses that checkpoint's scaler; `refit` fits ranges and further categories to the new rows and folds the
    change into the first layer, so that the first prediction is the same."""
    optimizer: Literal["reset", "keep"] = "reset"
    """`keep` goes on with the optimizer's moments; only with the same optimizer and scaler `keep`."""
    learning_rate_factor: float = 1.0
    """Multiplies `training.learning_rate` in a warm start."""

    def __post_init__(self) -> None:
        require_types(self, "start.")
        both = self.optimizer == "keep" and self.scaler == "refit"
        require(
            not both, "start.optimizer", self.optimizer, "'reset' with start.scaler refit, whose weights it changes"
        )
        factor = self.learning_rate_factor
        require(math.isfinite(factor) and factor > 0, "start.learning_rate_factor", factor, "a finite number above 0")


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How the weights are updated."""

    __pydantic_config__ = STRICT

    epochs: int = 5
    """Total number of epochs, those already done included: raise it to train on."""
    batch_size: int = 256
    """Rows per optimizer step."""
    learning_rate: float = 3e-3
    """The optimizer's `lr`."""
    optimizer: str = "Adam"
    """Name of a class in `torch.optim`."""
    optimizer_options: dict[str, Any] = field(default_factory=dict)
    """Further keyword arguments of the optimizer."""
    scheduler: str | None = None
    """Name of a class in `torch.optim.lr_scheduler`."""
    scheduler_options: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments of the scheduler. OneCycleLR and CosineAnnealingLR take a length left out (total_steps, T_max)
    from `epochs`; then another number of epochs is another run."""
    class_weights: Literal["none", "balanced"] | tuple[float, ...] = "none"
    """Weight of each class in the loss: `balanced` by inverse frequency, or one number a class."""
    gradient_clip: float | None = None
    """Largest 2-norm of the whole gradient; none when not given."""
    monitor: str = "test_loss"
    """Metric that picks the best epoch, stops early and drives ReduceLROnPlateau, e.g. `validation_auroc`."""
    patience: int | None = None
    """Stop after this many epochs without a better monitored metric; never when not given."""
    min_delta: float = 0.0
    """Smallest change of the monitored metric that counts as better."""
    seed: int = 0
    """Seed of the weights, the data order and dropout."""
    shuffle_rows: int = 1 << 19
    """Rows that are shuffled together, at least 1024. More rows than that are cut into blocks of 1024, and each epoch shuffles
    the rows of so many at a time, in blocks chosen anew from everywhere."""
    memory_limit: int | None = None
    """MiB that the rows may take; half of this machine's memory when not given. More than that are streamed from disk, in the
    same order: the weights do not depend on it."""
    device: str = "cpu"
    """Torch device, e.g. `cpu` or `cuda:0`. The bits of the result depend on it."""
    threads: int = 1
    """Torch threads. The bits of the result can depend on it; small models are fastest with 1."""

    def __post_init__(self) -> None:
        require_types(self, "training.")
        require(self.epochs >= 1, "training.epochs", self.epochs, "at least 1")
        require(self.batch_size >= 1, "training.batch_size", self.batch_size, "at least 1")
        require(1 <= self.threads <= MOST_THREADS, "training.threads", self.threads, f"1 .. {MOST_THREADS}")
        require(self.shuffle_rows >= BLOCK_ROWS, "training.shuffle_rows", self.shuffle_rows, f"at least {BLOCK_ROWS}")
        limit = self.memory_limit
        require(limit is None or limit >= 1, "training.memory_limit", limit, "at least 1")
        positive = math.isfinite(self.learning_rate) and self.learning_rate > 0
        require(positive, "training.learning_rate", self.learning_rate, "a finite number above 0")
        own = "lr" not in self.optimizer_options
        require(own, "training.optimizer_options", self.optimizer_options, "no `lr`: that is training.learning_rate")
        clip = self.gradient_clip
        require(
            clip is None or (math.isfinite(clip) and clip > 0),
            "training.gradient_clip",
            clip,
            "a finite number above 0",
        )
        require(self.patience is None or self.patience >= 1, "training.patience", self.patience, "at least 1")
        require(
            self.min_delta >= 0 and math.isfinite(self.min_delta), "training.min_delta", self.min_delta, "0 or more"
        )
        part, _, metric = self.monitor.partition("_")
        known = part in ("test", "validation") and metric in METRICS
        require(known, "training.monitor", self.monitor, f"test_ or validation_ and one of {', '.join(METRICS)}")
        if isinstance(self.class_weights, tuple):
            whole = all(math.isfinite(weight) and weight > 0 for weight in self.class_weights)
            require(whole, "training.class_weights", self.class_weights, "finite numbers above 0")


METRICS = ("loss", "accuracy", "auroc", "f1", "rmse", "mae", "r2")
SCHEDULER_LENGTHS = {"OneCycleLR": "total_steps", "CosineAnnealingLR": "T_max"}
SMALLER_IS_BETTER = ("loss", "rmse", "mae")


@dataclass(frozen=True, kw_only=True)
class CheckpointConfig:
    """When checkpoints are written, beyond one at the end of each epoch, and which are kept."""

    __pydantic_config__ = STRICT

    every_steps: int | None = None
    """Also write one every so many steps."""
    every_seconds: float | Literal["auto"] | None = 60.0
    """Also write one when so many seconds have passed since the last; `auto` computes them from what one costs here."""
    hours_between_failures: float = 24.0
    """Mean time between two failures of the machine or its processes, for `auto`."""
    keep_last: int = 2
    """How many of the newest are kept, at least 2, so that a corrupt one has a whole one behind it."""
    publish: Literal["last", "best"] = "last"
    """Which epoch becomes `checkpoint.pth`: the last, or the best by `training.monitor`, which is always kept."""
    wait: bool = True
    """Wait while another process trains this run; otherwise fail at once."""

    def __post_init__(self) -> None:
        require_types(self, "checkpoint.")
        require(
            self.every_steps is None or self.every_steps >= 1, "checkpoint.every_steps", self.every_steps, "at least 1"
        )
        seconds = self.every_seconds
        chosen = seconds is None or seconds == "auto"
        require(chosen or seconds > 0, "checkpoint.every_seconds", seconds, "above 0, or auto")
        hours = self.hours_between_failures
        require(hours > 0, "checkpoint.hours_between_failures", hours, "above 0")
        require(self.keep_last >= 2, "checkpoint.keep_last", self.keep_last, "at least 2")


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
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    runs_folder: str = "runs"
    """Folder that holds one private folder per run."""

    def __post_init__(self) -> None:
        require_types(self, "")
        require_path("runs_folder", self.runs_folder)
        require("://" not in self.runs_folder, "runs_folder", self.runs_folder, "a folder of this machine, not a URL")
        monitored, _, _ = self.training.monitor.partition("_")
        has_part = monitored == "test" or self.split.validation_fraction > 0
        require(has_part, "training.monitor", self.training.monitor, "test_..., or a split.validation_fraction above 0")


def started_training(config: Config) -> TrainingConfig:
    """Return the training settings with the learning rate that a warm start gives."""
    factor = config.start.learning_rate_factor if config.start.warm_from else 1.0
    return dataclasses.replace(config.training, learning_rate=config.training.learning_rate * factor)


def smaller_is_better(monitor: str) -> bool:
    """Tell whether a monitored metric such as `test_loss` is better when smaller."""
    return monitor.partition("_")[2] in SMALLER_IS_BETTER


def length_from_epochs(training: TrainingConfig) -> bool:
    """Tell whether the scheduler's shape is derived from the number of epochs."""
    length = SCHEDULER_LENGTHS.get(training.scheduler or "")
    return length is not None and not {length, "epochs"} & set(training.scheduler_options)


def identity(config: Config) -> dict[str, Any]:
    """Return the settings that decide the weights: all but the places, the saving and the number of epochs.

    The number of epochs counts when the learning rate's schedule takes its length from it.
    """
    settings = dataclasses.asdict(config)
    del settings["data"]["source"]
    if not length_from_epochs(config.training):
        del settings["training"]["epochs"]
    del settings["training"]["memory_limit"]
    for name in ("checkpoint", "tracking", "runs_folder"):
        del settings[name]
    # The checkpoint of a warm start counts by its content, as the data does, and not by its place.
    if settings["start"].pop("warm_from") is None:
        del settings["start"]
    return settings
