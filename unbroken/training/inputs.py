"""What a training or an evaluation is made of, new from the configuration and the data: what resume restores into."""

import dataclasses
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unbroken.batches.epoch import steps_per_epoch
from unbroken.batches.pieces import PIECE_ROWS
from unbroken.batches.reading import reader_of
from unbroken.batches.row_file import RowFile
from unbroken.batches.rows import Rows
from unbroken.checkpoints.compatibility import check_belongs, check_progress, check_weights
from unbroken.checkpoints.format import FORMAT
from unbroken.checkpoints.moments import check_complete, check_optimizer, check_schedule
from unbroken.checkpoints.numerics import collect_numerics
from unbroken.checkpoints.tree import Tree, canonical
from unbroken.config import Config, TrainingConfig
from unbroken.config.config import identity
from unbroken.config.metrics import metrics_of
from unbroken.config.training import DEFAULT_BATCH_SIZE
from unbroken.data.dataset import SplitDatasets
from unbroken.errors import CheckpointMismatchError, ConfigError
from unbroken.evaluation.metrics import Metrics, evaluate
from unbroken.features.encoder import Encoder
from unbroken.features.spec import FeatureSpec
from unbroken.models.factory import build_model, check_outputs
from unbroken.models.unchanged import is_unchanged_mlp
from unbroken.optimization.optimizer import build_optimizer
from unbroken.optimization.scheduler import build_scheduler, steps_each_batch
from unbroken.reproducibility.generators import seed_weights
from unbroken.run import Run
from unbroken.storage.artifact import Artifact, verify
from unbroken.training.state import TrainState

log = logging.getLogger(__name__)

TEST, VALIDATION = "test", "validation"
"""The names of the parts that do not train."""


@dataclass(frozen=True, kw_only=True)
class EvaluationInputs:
    """The configuration with the rows that are held out, in memory or, if all rows are too many, on disk."""

    config: Config
    run: Run
    encoder: Encoder
    device: torch.device
    steps: int
    """Steps per epoch."""
    header: Tree
    """What a checkpoint says beside the state: whose it is, and how to use the model."""
    held_out: dict[str, Rows | RowFile]
    """By the name of the part: `test`, and `validation` if there is one; those of them that were asked for."""

    @classmethod
    def read(
        cls,
        config: Config,
        splits: SplitDatasets,
        encoder: Artifact,
        run: Run,
        parts: Sequence[str] = (TEST, VALIDATION),
        sharing: int = 1,
    ) -> "EvaluationInputs":
        """Read the encoder and the rows.

        Args:
            config: The run's settings.
            splits: The preprocessed parts.
            encoder: What preprocessed them.
            run: The run.
            parts: The parts to read, if there are such.
            sharing: Processes that each read as much into the memory of this machine.

        Raises:
            ConfigError: A setting does not fit the rows or this machine.
            DataError: A file is gone or changed since it was made.
        """
        verify(encoder)
        fitted = Encoder.load(Path(encoder.path))
        _require_a_batch(config.training, splits.train.rows)
        device = _device(config.training.device)
        datasets = {TEST: splits.test} | ({VALIDATION: splits.validation} if splits.validation else {})
        read = reader_of(config.training, splits, fitted.features, run.data, device, sharing)
        return cls(
            config=config,
            run=run,
            encoder=fitted,
            device=device,
            steps=steps_per_epoch(splits.train.rows, config.training.step_rows),
            header=_header(config, run, fitted),
            held_out={name: read(name, dataset) for name, dataset in datasets.items() if name in parts},
        )

    @property
    def features(self) -> FeatureSpec:
        """What the model sees."""
        return self.encoder.features

    def fresh_state(self) -> TrainState:
        """Return the state before the first step: weights drawn from the seed alone."""
        training = dataclasses.replace(self.config.training, learning_rate=self.config.initial_learning_rate)
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            seed_weights(training.seed)
            model = build_model(self.config.chosen.model, self.features, training.members).to(self.device)
            check_outputs(model, self.features, self.device, self.config.chosen.model.factory)
        optimizer = build_optimizer(training, model)
        scheduler = build_scheduler(training, self.config.chosen, optimizer, self.steps)
        loss_sum = torch.zeros((), dtype=torch.float64, device=self.device)
        return TrainState(model=model, optimizer=optimizer, scheduler=scheduler, loss_sum=loss_sum)

    def restore(self, state: TrainState, tree: Tree, path: Path) -> None:
        """Put a checkpoint into a fresh state; raise CheckpointMismatchError if it is of another run."""
        check_belongs(tree, self.header, path)
        if repr(Encoder.of_tree(tree["scaler"], path)) != repr(self.encoder):
            raise CheckpointMismatchError(f"{path}: scaler: is not the encoder that the rows were preprocessed with")
        check_progress(tree, self.steps, self.metrics, path)
        check_weights(tree["model_state_dict"], state.model, f"{path}: model_state_dict")
        check_optimizer(tree, state.optimizer, path)
        if is_unchanged_mlp(state.model) and not self.config.start.warm_from:
            check_complete(tree, state.optimizer, dict(state.model.named_parameters()), path)
        schedule = canonical(state.scheduler.state_dict()) if state.scheduler else None
        check_schedule(tree, schedule, steps_each_batch(state.scheduler), path)
        state.restore(tree)

    @property
    def metrics(self) -> list[str]:
        """The names of the metrics of an epoch, such as `validation_loss`."""
        parts = parts_of_epoch(self.config)
        return [f"{part}_{metric.name}" for part in parts for metric in metrics_of(self.features.task)]

    def evaluate(self, model: nn.Module, *names: str) -> Metrics:
        """Return the metrics of a model on some parts, on all that were read where none is named, by names like `test_loss`."""
        task, label = self.features.task, self.encoder.label
        parts = {
            part: evaluate(model, rows, task, label)
            for part, rows in self.held_out.items()
            if part in (names or self.held_out)
        }
        return {f"{part}_{name}": value for part, metrics in parts.items() for name, value in metrics.items()}


@dataclass(frozen=True, kw_only=True)
class TrainingInputs(EvaluationInputs):
    """The configuration with all rows."""

    train: Rows | RowFile
    class_weights: Float[Tensor, " classes"] | None

    @classmethod
    def read(  # ty: ignore[incompatible-method-override] (the parts follow from the settings)
        cls,
        config: Config,
        splits: SplitDatasets,
        encoder: Artifact,
        run: Run,
        *,
        scores: bool = True,
        sharing: int = 1,
    ) -> "TrainingInputs":
        """Read the encoder, the rows that train and, if this process scores them, those that are scored after each epoch.

        Arguments are those of `EvaluationInputs.read`, which says what is raised.
        """
        base = EvaluationInputs.read(config, splits, encoder, run, parts_of_epoch(config) if scores else (), sharing)
        read = reader_of(config.training, splits, base.features, run.data, base.device, sharing)
        train = read("train", splits.train)
        fields = {field.name: getattr(base, field.name) for field in dataclasses.fields(base)}
        return cls(**fields, train=train, class_weights=_class_weights(config.training, train, base.features))


def parts_of_epoch(config: Config) -> tuple[str, ...]:
    """Return the names of the parts whose rows are scored after each epoch."""
    test = (TEST,) if config.chosen.test_scores == "every_epoch" else ()
    return (*test, VALIDATION) if config.chosen.validates else test


def _header(config: Config, run: Run, encoder: Encoder) -> Tree:
    return canonical(
        {
            "format": FORMAT,
            "run_key": run.key,
            "config": identity(config),
            "numerics": collect_numerics(config.training.device, config.training.threads),
            "schema": dataclasses.asdict(encoder.schema),
            "scaler": encoder.tree(),
        }
    )


def _require_a_batch(config: TrainingConfig, rows: int) -> None:
    if config.step_rows > rows:
        if config.step_rows == DEFAULT_BATCH_SIZE == config.batch_size:
            log.warning("training.batch_size: %d rows train, so a batch is all of them", rows)
            return
        name = "training.batch_size" if config.accumulate == 1 else "training.batch_size x training.accumulate"
        raise ConfigError(f"{name}: found {config.step_rows}, expected at most {rows}, the rows that train. Lower it")


def _device(name: str) -> torch.device:
    try:
        return torch.zeros((), device=name).device
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            f"training.device: found {name!r}, expected a device that torch can use here: {error}"
        ) from error


def _class_weights(
    config: TrainingConfig, train: Rows | RowFile, features: FeatureSpec
) -> Float[Tensor, " classes"] | None:
    if config.class_weights == "none":
        return None
    classes = len(features.classes)
    if not classes:
        raise ConfigError(f"training.class_weights: found {config.class_weights!r}, expected 'none' for regression")
    if config.class_weights == "balanced":
        pieces = [torch.bincount(piece.labels.long(), minlength=classes) for piece in train.split(PIECE_ROWS)]
        counts = torch.stack(pieces).sum(0)
        return (len(train) / (classes * counts)).float()
    if len(config.class_weights) != classes:
        raise ConfigError(
            f"training.class_weights: found {len(config.class_weights)} weights, expected {classes}, one a class"
        )
    return torch.tensor(config.class_weights, dtype=torch.float32, device=train.device)
