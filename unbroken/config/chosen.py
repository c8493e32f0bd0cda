"""What the automatic settings of a training come to, and why; an explicit setting always wins.

What only the rows can decide is left automatic: `split.kind` by the counts of the label's classes.
"""

from dataclasses import dataclass, replace
from typing import Literal

from unbroken.config.checkpoint import CheckpointConfig
from unbroken.config.data import SAMPLE, DataConfig, PreprocessConfig, SplitConfig
from unbroken.config.model import ModelConfig, StartConfig
from unbroken.config.training import TrainingConfig

AUTO = "auto"

SAMPLE_EPOCHS = 5
UNWATCHED_EPOCHS = 20
"""Where no rows validate, so that nothing tells when to stop."""
MOST_EPOCHS, PATIENCE = 200, 20
"""Of 16 real tables the best epoch was between 3 and 104: `benchmarks/quality.py`."""
BEST, MLP = "tabm", "mlp"
"""Of the presets the one with the best mean rank on real tables, and the fastest: `docs/quality.md`."""
MIN_CATEGORY_COUNT = 5
VALIDATION_SHARE = 0.1
"""Of the rows that do not test."""


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The settings that can be automatic, as plain ones.

    Attributes:
        preprocess: How columns become inputs.
        split: Which rows train, validate and test, the share of each a number.
        model: The network.
        epochs: The most epochs.
        monitor: The metric that chooses; None where no rows validate, since no other rows may choose.
        patience: Epochs without a better `monitor` after which the training stops; None for never.
        min_delta: What counts as better.
        publish: Which epoch is published.
        test_scores: Whether the test rows are scored once, for the published epoch, or beside every epoch.
        baseline: What stands beside the model's test metrics.
        reasons: What was automatic, what it came to and why, a line each.
    """

    preprocess: PreprocessConfig
    split: SplitConfig
    model: ModelConfig
    epochs: int
    monitor: str | None
    patience: int | None
    min_delta: float
    publish: Literal["last", "best"]
    test_scores: Literal["once", "every_epoch"]
    baseline: Literal["constant", "trees"]
    reasons: tuple[str, ...] = ()

    @property
    def validates(self) -> bool:
        """Whether some rows validate."""
        return self.split.validation_share > 0


def choose(
    data: DataConfig,
    preprocess: PreprocessConfig,
    split: SplitConfig,
    model: ModelConfig,
    start: StartConfig,
    training: TrainingConfig,
    checkpoint: CheckpointConfig,
) -> Chosen:
    """Resolve the automatic settings of a training.

    The classic example, whose source is `sample`, stays as it is in the books, unless a setting needs rows that validate.
    """
    classic = data.source == SAMPLE
    share = _validation_share(split, held_out=not classic or bool(needs_validation(training, checkpoint)))
    validates = share > 0
    kind = "random" if classic and split.kind == AUTO else split.kind
    unwatched = SAMPLE_EPOCHS if classic else UNWATCHED_EPOCHS
    least_count = 1 if classic else MIN_CATEGORY_COUNT
    if preprocess.min_category_count == AUTO:
        preprocess = replace(preprocess, min_category_count=least_count)
    return Chosen(
        preprocess=preprocess,
        split=replace(split, kind=kind, validation_fraction=share),
        model=_model(model, start, classic=classic),
        epochs=(MOST_EPOCHS if validates else unwatched) if training.epochs == AUTO else training.epochs,
        monitor=("validation_loss" if validates else None) if training.monitor == AUTO else training.monitor,
        patience=(PATIENCE if validates else None) if training.patience == AUTO else training.patience,
        min_delta=training.min_delta,
        publish=("best" if validates else "last") if checkpoint.publish == AUTO else checkpoint.publish,
        test_scores=("once" if validates else "every_epoch") if training.test_scores == AUTO else training.test_scores,
        baseline=("constant" if classic else "trees") if checkpoint.baseline == AUTO else checkpoint.baseline,
        reasons=() if classic else tuple(_reasons(split, model, start, training, checkpoint, share)),
    )


def needs_validation(training: TrainingConfig, checkpoint: CheckpointConfig) -> list[str]:
    """Return the settings that somebody made and that need rows which validate."""
    needs = {
        "training.patience": training.patience not in (AUTO, None),
        "training.monitor": training.monitor != AUTO,
        "training.scheduler": training.scheduler == "ReduceLROnPlateau",
        "checkpoint.publish": checkpoint.publish == "best",
    }
    return [name for name, needed in needs.items() if needed]


def _validation_share(split: SplitConfig, *, held_out: bool) -> float:
    if split.validation_fraction != AUTO:
        return split.validation_fraction
    return round(VALIDATION_SHARE * (1 - split.test_fraction), 6) if held_out else 0.0


def _model(model: ModelConfig, start: StartConfig, *, classic: bool) -> ModelConfig:
    """Options without a factory are those of the MLP, and a refitted encoder is folded into an MLP alone."""
    if model.factory != AUTO:
        return model
    simple = classic or bool(model.options) or start.scaler == "refit"
    return replace(model, factory=MLP if simple else BEST)


def _reasons(
    split: SplitConfig,
    model: ModelConfig,
    start: StartConfig,
    training: TrainingConfig,
    checkpoint: CheckpointConfig,
    share: float,
) -> list[str]:
    reasons = []
    if model.factory == AUTO and _model(model, start, classic=False).factory == BEST:
        reasons.append(f"{BEST} errs least on most tables tried; --model.factory {MLP} trains in a tenth of the time")
    if split.validation_fraction == AUTO:
        reasons.append(f"{share:.0%} of the rows validate: they choose, so that the test rows stay unseen")
    if training.epochs == AUTO and not share:
        reasons.append(f"{UNWATCHED_EPOCHS} epochs: no rows validate, so nothing tells when to stop")
    if training.epochs == AUTO and share:
        reasons.append(f"{MOST_EPOCHS} epochs at most: of tables tried the best epoch was between 3 and 104")
    if training.patience == AUTO and share:
        reasons.append(f"over after {PATIENCE} epochs in which the validation rows fare no better")
    if checkpoint.publish == AUTO and share:
        reasons.append("the best epoch is published: the last is often not the best")
    return reasons
