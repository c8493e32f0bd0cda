"""Everything a training starts from, made new from the configuration and the data: what resume restores into."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from unbroken.batches.epoch import steps_per_epoch
from unbroken.batches.memory import bytes_in_memory, bytes_on_disk, bytes_to_score, memory_limit
from unbroken.batches.row_file import RowFile, open_row_file
from unbroken.batches.rows import Rows, read_rows
from unbroken.checkpoints.compatibility import check_belongs
from unbroken.checkpoints.format import FORMAT
from unbroken.checkpoints.numerics import collect_numerics
from unbroken.checkpoints.tree import Tree, canonical
from unbroken.config import Config, TrainingConfig
from unbroken.config.config import identity, started_training
from unbroken.data.dataset import Dataset, SplitDatasets
from unbroken.data.permutation import derive
from unbroken.errors import ConfigError
from unbroken.features.encoder import Encoder
from unbroken.features.spec import FeatureSpec
from unbroken.models.factory import build_model
from unbroken.models.metrics import PIECE_ROWS, Metrics, evaluate
from unbroken.optimization.optimizer import build_optimizer
from unbroken.optimization.scheduler import build_scheduler
from unbroken.run import Run
from unbroken.storage.artifact import Artifact, verify
from unbroken.training.generators import seed_shared
from unbroken.training.state import TrainState

Reader = Callable[[str, Dataset, torch.device], Rows | RowFile]


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingInputs:
    """The configuration with its data, in memory or, if it is too large, on disk."""

    config: Config
    run: Run
    encoder: Encoder
    train: Rows | RowFile
    held_out: dict[str, Rows | RowFile]
    class_weights: Tensor | None

    @classmethod
    def read(cls, config: Config, splits: SplitDatasets, encoder: Artifact, run: Run) -> "TrainingInputs":
        """Read encoder and datasets; raise ConfigError for a setting that does not fit them."""
        verify(encoder)
        fitted = Encoder.load(Path(encoder.path))
        device = _device(config.training.device)
        datasets = {"test": splits.test} | ({"validation": splits.validation} if splits.validation else {})
        read = _reader(config.training, splits, fitted.features, run)
        train = read("train", splits.train, device)
        if config.training.batch_size > len(train):
            raise ConfigError(
                f"training.batch_size: found {config.training.batch_size}, expected at most {len(train)}, the rows that "
                f"train. Lower it"
            )
        return cls(
            config=config,
            run=run,
            encoder=fitted,
            train=train,
            held_out={name: read(name, part, device) for name, part in datasets.items()},
            class_weights=_class_weights(config.training, train, fitted.features),
        )

    @property
    def features(self) -> FeatureSpec:
        """What the model sees."""
        return self.encoder.features

    @property
    def steps(self) -> int:
        """Steps per epoch."""
        return steps_per_epoch(len(self.train), self.config.training.batch_size)

    def fresh_state(self) -> TrainState:
        """Return the state before the first step: weights drawn from the seed alone."""
        training = started_training(self.config)
        device = self.train.device
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(derive(training.seed, "weights"))
            seed_shared(training.seed, "weights")
            model = build_model(self.config.model, self.features).to(device)
            _check_outputs(model, self.train, self.features.outputs, self.config.model.factory)
        optimizer = build_optimizer(training, model)
        scheduler = build_scheduler(training, optimizer, self.steps)
        loss_sum = torch.zeros((), dtype=torch.float64, device=device)
        return TrainState(model=model, optimizer=optimizer, scheduler=scheduler, loss_sum=loss_sum)

    def evaluate(self, model: nn.Module) -> Metrics:
        """Return the metrics of a model on every held-out part, named like `test_loss`."""
        task, label = self.features.task, self.encoder.label
        parts = {name: evaluate(model, rows, task, label) for name, rows in self.held_out.items()}
        return {f"{part}_{name}": value for part, found in parts.items() for name, value in found.items()}

    def about(self) -> Tree:
        """Return what a checkpoint says beside the state: whose it is, and how to use the model."""
        training = self.config.training
        return canonical(
            {
                "format": FORMAT,
                "run_key": self.run.key,
                "config": identity(self.config),
                "numerics": collect_numerics(training.device, training.threads),
                "schema": dataclasses.asdict(self.encoder.schema),
                "scaler": dataclasses.asdict(self.encoder),
            }
        )

    def restore(self, state: TrainState, tree: Tree, path: Path) -> None:
        """Put a checkpoint into a fresh state; raise CheckpointMismatchError if it is of another run."""
        check_belongs(tree, self.about(), state.snapshot(), state.optimizer, path)
        state.restore(tree)


def _reader(config: TrainingConfig, splits: SplitDatasets, features: FeatureSpec, run: Run) -> Reader:
    """Return how to read the parts of the data: into memory if all of them fit, else from disk as they are needed.

    Raise ConfigError if not even two windows and what a metric needs fit.
    """
    limit = memory_limit(config.memory_limit)
    parts = [part for part in (splits.train, splits.validation, splits.test) if part]
    if sum(part.rows for part in parts) * bytes_in_memory(features) <= limit:
        return lambda _, dataset, device: read_rows(dataset, features).to(device)
    scored = max(part.rows for part in parts[1:]) * bytes_to_score(features)
    needed = 2 * min(config.shuffle_rows, splits.train.rows) * bytes_on_disk(features) + scored
    if needed > limit:
        raise ConfigError(
            f"training.memory_limit: found {limit >> 20} MiB, expected at least {-(-needed >> 20)}: two windows of "
            f"training.shuffle_rows {config.shuffle_rows} and the scores of a held-out part. Raise it, or lower shuffle_rows"
        )
    return lambda name, dataset, device: open_row_file(run.data / f"{name}.rows", dataset, features, device)


def _device(name: str) -> torch.device:
    try:
        return torch.zeros((), device=name).device
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            f"training.device: found {name!r}, expected a device that torch can use here: {error}"
        ) from error


@torch.no_grad()
def _check_outputs(model: nn.Module, rows: Rows | RowFile, outputs: int, name: str) -> None:
    """Raise ConfigError unless a model turns two rows into their logits; before training, not in its first step."""
    few = rows.slice(0, 2)
    expected = [len(few), outputs]
    training = model.training
    try:
        found = model.eval()(few.numbers, few.codes)
    except (TypeError, ValueError, RuntimeError, IndexError) as error:
        raise ConfigError(
            f"model.factory {name}: its model fails on numbers {list(few.numbers.shape)}: {error}"
        ) from error
    finally:
        model.train(training)
    if not isinstance(found, Tensor) or list(found.shape) != expected:
        shape = list(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise ConfigError(f"model.factory {name}: its model gives {shape}, expected a tensor {expected} of logits")


def _class_weights(config: TrainingConfig, train: Rows | RowFile, features: FeatureSpec) -> Tensor | None:
    if config.class_weights == "none":
        return None
    classes = len(features.classes)
    if not classes:
        raise ConfigError(f"training.class_weights: found {config.class_weights!r}, expected 'none' for regression")
    if config.class_weights == "balanced":
        pieces = [torch.bincount(some.labels.long(), minlength=classes) for some in train.split(PIECE_ROWS)]
        counts = torch.stack(pieces).sum(0)
        return (len(train) / (classes * counts)).float()
    if len(config.class_weights) != classes:
        raise ConfigError(
            f"training.class_weights: found {len(config.class_weights)} weights, expected {classes}, one a class"
        )
    return torch.tensor(config.class_weights, dtype=torch.float32, device=train.device)
