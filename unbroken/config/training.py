"""What a user can set of how the weights are updated, and by how many processes."""

import math
from dataclasses import dataclass, field
from typing import Any, Literal

from unbroken.config.metrics import METRICS, smaller_is_better
from unbroken.config.validation import STRICT, choice, number, require, require_types

OPTIMIZERS = (
    *("ASGD", "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "Muon", "NAdam", "RAdam", "RMSprop"),
    *("Rprop", "SGD"),
)
SCHEDULERS = (
    *(
        "ChainedScheduler",
        "ConstantLR",
        "CosineAnnealingLR",
        "CosineAnnealingWarmRestarts",
        "CyclicLR",
        "ExponentialLR",
    ),
    *("LambdaLR", "LinearLR", "MultiStepLR", "MultiplicativeLR", "OneCycleLR", "PolynomialLR", "ReduceLROnPlateau"),
    *("SequentialLR", "StepLR"),
)
DEVICES = ("cpu", "cuda", *(f"cuda:{index}" for index in range(8)), "mps", "xpu")
MONITORS = tuple(f"validation_{metric}" for metric in METRICS)
"""What a form lets choose from; torch decides what there is."""

MOST_THREADS = 1024

DEFAULT_BATCH_SIZE = 256
"""Where fewer rows train, a batch is all of them."""
BLOCK_ROWS = 1 << 10
"""Rows that are read from disk together."""


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How the weights are updated."""

    __pydantic_config__ = STRICT

    epochs: int | Literal["auto"] = number("auto", least=1)
    """Total number of epochs, those already done included: raise it to train on. Where the scheduler takes its length from
    it, another number is another run. `auto` is up to 200, and fewer by `patience`; 20 where no rows validate; 5 for the
    sample."""
    batch_size: int = number(DEFAULT_BATCH_SIZE, least=1)
    """Rows per gradient, and, unless gradients are accumulated, per optimizer step; all rows that train where these are fewer
    than the default. The last batch of an epoch holds the rows that are left; where that is one row, and the model cannot
    train on one, as BatchNorm cannot, the training is refused before its first step."""
    accumulate: int = number(1, least=1)
    """Batches whose gradients make one optimizer step, which then sees `accumulate` times `batch_size` rows in the memory that
    one batch needs."""
    micro_batches: int = number(1, least=1)
    """Parts that the rows of each optimizer step are cut into, a power of two. The gradient of each is computed alone, and they are
    added up in a fixed order, so that up to so many processes give the same bits: see `docs/scale.md`. Another number is another
    run."""
    learning_rate: float = number(3e-3, above=0)
    """The optimizer's `lr`."""
    optimizer: str = choice("Adam", OPTIMIZERS)
    """Name of a class in `torch.optim`."""
    optimizer_options: dict[str, Any] = field(default_factory=dict)
    """Further keyword arguments of the optimizer."""
    scheduler: str | None = choice(None, SCHEDULERS)
    """Name of a class in `torch.optim.lr_scheduler`."""
    scheduler_options: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments of the scheduler. ReduceLROnPlateau takes `mode` from the monitored metric. OneCycleLR and
    CosineAnnealingLR take a length left out (total_steps, T_max) from `epochs`; then another number of epochs is another run."""
    members: int = number(1, least=1)
    """Networks that begin with weights of their own, learn side by side from the same batches, and predict by their mean: a deep
    ensemble in one run, which takes so many times as long."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Numbers that the model computes with while it trains: `bfloat16` is faster on hardware made for it, by autocast;
    weights, updates and evaluation stay in float32."""
    ema_decay: float | None = number(None, above=0, below=1)
    """Share of itself that an exponential moving average of the weights keeps at each step, e.g. 0.999, less in the first steps.
    The averaged weights are then evaluated and published; training goes on with its own. No average when not given."""
    class_weights: Literal["none", "balanced"] | tuple[float, ...] = "none"
    """Weight of each class in the loss: `balanced` by inverse frequency, or one number a class."""
    gradient_clip: float | None = number(None, above=0)
    """Largest 2-norm of the whole gradient; none when not given."""
    monitor: str = choice("auto", ("auto", *MONITORS))
    """Metric of the validation rows that picks the best epoch, stops early and drives ReduceLROnPlateau, e.g.
    `validation_auroc`; an epoch where it is no finite number counts for none of them. `auto` is the loss."""
    patience: int | Literal["auto"] | None = number("auto", least=1)
    """Stop after this many epochs whose monitored metric is no better; never when none. `auto` is 20 where rows
    validate, else none."""
    min_delta: float = number(0.0, least=0.0)
    """Smallest change of the monitored metric that counts as better."""
    test_scores: Literal["auto", "once", "every_epoch"] = "auto"
    """When the test rows are scored: `once`, for the epoch that is published, or beside `every_epoch`. They never choose it.
    `auto` is once where rows validate."""
    seed: int = 0
    """Seed of the weights, the data order and dropout."""
    shuffle_rows: int = number(1 << 19, least=BLOCK_ROWS)
    """Rows that are shuffled together, at least 1024. More rows than that are cut into blocks of 1024, and each epoch shuffles
    the rows of so many at a time, in blocks chosen anew from everywhere."""
    memory_limit: int | None = number(None, least=1)
    """MiB that the rows may take; half of this machine's memory when not given. More than that are streamed from disk, in the
    same order: the weights do not depend on it."""
    device: str = choice("cpu", DEVICES)
    """Torch device, e.g. `cpu` or `cuda:0`. The bits of the result depend on it."""
    threads: int = number(1, least=1, most=MOST_THREADS)
    """Torch threads. The bits of the result can depend on it; small models are fastest with 1."""

    def __post_init__(self) -> None:
        require_types(self, "training.")
        power = self.micro_batches.bit_count() == 1
        require(power, "training.micro_batches", self.micro_batches, "a power of two, such as 1, 2, 4 or 8")
        unset = "lr" not in self.optimizer_options
        require(unset, "training.optimizer_options", self.optimizer_options, "no `lr`: that is training.learning_rate")
        part, _, metric = self.monitor.partition("_")
        unseen = "validation_ and a metric: a score of rows that chose is not one of unseen rows"
        require(part != "test", "training.monitor", self.monitor, unseen)
        valid = self.monitor == "auto" or (part == "validation" and metric in METRICS)
        require(valid, "training.monitor", self.monitor, f"validation_ and one of {', '.join(METRICS)}")
        if mode := plateau_mode(self, self.monitor):
            fits = self.scheduler_options.get("mode", mode) == mode
            expected = f"mode {mode!r} or none: a training.monitor {self.monitor} is better when {MODES[mode]}"
            require(fits, "training.scheduler_options", self.scheduler_options, expected)
        if isinstance(self.class_weights, tuple):
            positive = all(math.isfinite(weight) and weight > 0 for weight in self.class_weights)
            require(positive, "training.class_weights", self.class_weights, "finite numbers above 0")

    @property
    def step_rows(self) -> int:
        """Rows per optimizer step."""
        return self.batch_size * self.accumulate


@dataclass(frozen=True, kw_only=True)
class ComputeConfig:
    """How many processes train together. The weights depend on `training.micro_batches` alone, whatever stands here."""

    __pydantic_config__ = STRICT

    workers: int = number(1, least=1)
    """Processes that compute the gradient of each step together, at most `training.micro_batches`. It pays for large models and
    batches alone: see `docs/scale.md`."""
    engine: Literal["local", "ray"] = "local"
    """What starts them: `local`, processes on this machine, or `ray`, workers of a Ray cluster (extra `ray`). Where torchrun
    starts them, this is not set."""
    address: str | None = None
    """Where the Ray cluster is, as `ray.init` takes it: `auto` for that of this machine, or `host:6379`. Without it a cluster is
    started on this machine, and ends with this process."""
    restarts: int = number(10, least=0)
    """How often they are all started again from the newest checkpoint where one of them died."""

    def __post_init__(self) -> None:
        require_types(self, "compute.")
        expected = "none unless compute.engine is ray"
        require(self.address is None or self.engine == "ray", "compute.address", self.address, expected)


MODES = {"min": "smaller", "max": "larger"}


def plateau_mode(training: TrainingConfig, monitor: str | None) -> str | None:
    """Return the `mode` of ReduceLROnPlateau under which it lowers the rate when the monitored metric no longer gets better."""
    if training.scheduler != "ReduceLROnPlateau":
        return None
    return "min" if monitor in (None, "auto") or smaller_is_better(monitor) else "max"


SCHEDULER_LENGTHS = {"OneCycleLR": "total_steps", "CosineAnnealingLR": "T_max"}


def length_from_epochs(training: TrainingConfig) -> bool:
    """Tell whether the scheduler's shape is derived from the number of epochs."""
    length = SCHEDULER_LENGTHS.get(training.scheduler or "")
    return length is not None and not {length, "epochs"} & set(training.scheduler_options)
