"""The six stages in one process, without an orchestrator: exactly as resumable as the flows.

What needs torch is imported where it is used: a finished run answers without it.
"""

import logging
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from unbroken.config import Config, PredictConfig, RetrainConfig
from unbroken.data.dataset import Dataset, SplitDatasets
from unbroken.errors import BlockedError, ConfigError
from unbroken.run import Run, begin, delete_on_bad_input, open_run
from unbroken.stages import finished
from unbroken.stages.nearest_run import tell_nearest_run
from unbroken.stages.results import Checkpoint, Preprocessed, Published, Restored
from unbroken.storage.artifact import Artifact
from unbroken.storage.publication import published_manifest
from unbroken.training.progress import Report

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from unbroken.parallel.group import Group
    from unbroken.retraining.promotion import Decision
    from unbroken.serving.prediction import Predictor
    from unbroken.serving.standing import Predictions
    from unbroken.training.hooks import TrainHook

log = logging.getLogger(__name__)

History = list[dict[str, float]]
Result = TypeVar("Result")


def ignore_progress(_: object) -> None:
    """Show nothing of a training's progress."""


@dataclass(frozen=True, kw_only=True)
class TrainedModel:
    """A finished training: where its published checkpoint lies, and how good it is.

    Attributes:
        path: The published `checkpoint.pth`, its manifest beside it.
        digest: SHA-256 of its bytes.
        epoch: The epoch that was published.
        metrics: The metrics of that epoch on the held-out rows, by names such as `test_auroc`.
        history: One entry an epoch that was trained: its number, learning rate, training loss and metrics.
        baselines: The metrics of what a model has to beat on the test rows, a `constant guess`.
        factory: What built the model, for loading it again.
    """

    path: Path
    digest: str
    epoch: int
    metrics: dict[str, float]
    history: History
    baselines: dict[str, dict[str, float]]
    factory: str = "mlp"

    def predict(self, rows: Any) -> "pa.Table":
        """Return one row of predictions for each raw row: see `serving.prediction.Predictor.predict`."""
        return self.predictor.predict(rows)

    @cached_property
    def predictor(self) -> "Predictor":
        """The model, loaded."""
        from unbroken.serving.prediction import load_predictor  # noqa: PLC0415 (torch)

        return load_predictor(self.path, factory=self.factory)


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A run and what its first three stages gave."""

    config: Config
    run: Run
    dataset: Dataset
    preprocessed: Preprocessed
    splits: SplitDatasets


def train(
    config: Config,
    report: Report = ignore_progress,
    hooks: "Sequence[TrainHook]" = (),
    group: "Group | None" = None,
) -> TrainedModel:
    """Train, evaluate and publish a model; the same call after any end goes on from where it was.

    Args:
        config: The data, the model and how it is trained.
        report: Called with the progress of the training, some times a second.
        hooks: Watch or extend the loop: see `training.hooks.TrainHook`.
        group: The processes that train together, each of which calls this: see `parallel.gloo.joined`.

    Raises:
        UnbrokenError: With what is wrong with a setting, the data or a checkpoint, and the way out.
        OSError: If a file cannot be read or written, which may pass.
    """
    restored = _train_alone(config, report, hooks) if group is None else run_ranks(config, group, report, hooks)
    manifest = published_manifest(Path(restored.path))
    return TrainedModel(
        path=Path(restored.path),
        digest=restored.digest,
        epoch=restored.epoch,
        metrics=restored.metrics,
        history=manifest["history"] + manifest.get("later_history", []),
        baselines=manifest.get("baselines", {}),
        factory=config.chosen.model.factory,
    )


def _train_alone(config: Config, report: Report, hooks: "Sequence[TrainHook]") -> Restored:
    run = open_run(config)
    restored = finished.load(run, config)
    if restored is None:
        with delete_on_bad_input(run):
            restored = run_stages(config, run, report, hooks)
    return restored


def run_stages(
    config: Config, run: Run, report: Report = ignore_progress, hooks: "Sequence[TrainHook]" = ()
) -> Restored:
    """Run all six stages of a run, each from wherever it stands, and keep by what its end is recognised."""
    _require_no_block(config)
    tell_nearest_run(run, config)
    prepared = prepare(config, run)
    return record(prepared, *finish(prepared, report, hooks))


def _require_no_block(config: Config) -> None:
    """Raise ConfigError if a block of a Prefect server is to be told, which takes no part here."""
    if config.notify.block:
        raise ConfigError(
            f"notify.block: found {config.notify.block!r}, expected none: it is a block of a Prefect server, and here the stages "
            "run without Prefect. Leave it out, or run the flow: `unbroken train` or `unbroken retrain` in a project"
        )


def record(prepared: Prepared, last: Checkpoint, published: Published, restored: Restored) -> Restored:
    """Tell who is to be told that a run is finished, and write it down."""
    config, run = prepared.config, prepared.run
    if config.tracking.uri:
        from unbroken.integrations.mlflow_tracking import track  # noqa: PLC0415 (an extra)

        track(restored, run, config)
    finished.record(run, config, restored, prepared.dataset, prepared.preprocessed, prepared.splits, last, published)
    return restored


@dataclass(frozen=True, kw_only=True)
class RankStart:
    """What rank 0 tells the others before they train: the run and its rows, or that it is finished."""

    run: Run
    splits: SplitDatasets | None = None
    encoder: Artifact | None = None
    restored: Restored | None = None


def run_ranks(
    config: Config, group: "Group", report: Report = ignore_progress, hooks: "Sequence[TrainHook]" = ()
) -> Restored:
    """Run all six stages in several processes, each of which calls this; they train together, rank 0 does all the rest.

    Args:
        config: The same for all ranks.
        group: The ranks: see `parallel.gloo.joined`.
        report: Called with the progress of the training at rank 0.
        hooks: Watch or extend the loop; the same for all ranks, each with its own.

    Raises:
        UnbrokenError: With what is wrong, at all ranks, whichever of them found it.
        OSError: A file cannot be read or written, or another rank is gone.
    """
    from unbroken.engines.training import require_alike  # noqa: PLC0415 (torch)
    from unbroken.stages.train import train as train_stage  # noqa: PLC0415

    require_alike(group, config)
    _require_no_block(config)
    prepared: list[Prepared] = []

    def begin_run() -> RankStart:
        run = open_run(config)
        if (restored := finished.load(run, config)) is not None:
            return RankStart(run=run, restored=restored)
        with delete_on_bad_input(run):
            tell_nearest_run(run, config)
            prepared.append(prepare(config, run))
        (made,) = prepared
        return RankStart(run=made.run, splits=made.splits, encoder=made.preprocessed.encoder)

    def end_run() -> Restored:
        return record(prepared[0], last, *publish(prepared[0], last))

    start = group.from_first(begin_run, RankStart)
    if start.restored is not None:
        return start.restored
    assert start.splits is not None
    assert start.encoder is not None
    last = train_stage(config, start.splits, start.encoder, start.run, report, hooks, group)
    return group.from_first(end_run, Restored)


def prepare(config: Config, run: Run) -> Prepared:
    """Run stages 1 to 3: the rows of a source as training, validation and test rows of a model's inputs.

    What is returned names another run where the source was replaced before stage 1.
    """
    from unbroken.stages.load_data import load_data  # noqa: PLC0415 (as below: a finished run needs none of it)
    from unbroken.stages.preprocess import preprocess  # noqa: PLC0415
    from unbroken.stages.split import split_dataset  # noqa: PLC0415

    run, dataset = begin(config, run, lambda run: _logged("load_data", load_data(config.data, run)))
    preprocessed = _logged(
        "preprocess", preprocess(dataset, config.chosen.preprocess, config.chosen.split, run, config.start)
    )
    splits = _logged("split", split_dataset(preprocessed, config.chosen.split, run))
    return Prepared(config=config, run=run, dataset=dataset, preprocessed=preprocessed, splits=splits)


def finish(
    prepared: Prepared, report: Report = ignore_progress, hooks: "Sequence[TrainHook]" = ()
) -> tuple[Checkpoint, Published, Restored]:
    """Run stages 4 to 6: train, publish, restore."""
    from unbroken.engines.training import train as train_stage  # noqa: PLC0415 (torch)

    config, run, encoder = prepared.config, prepared.run, prepared.preprocessed.encoder
    last = _logged("train", train_stage(config, prepared.splits, encoder, run, report, hooks))
    return last, *publish(prepared, last)


def publish(prepared: Prepared, last: Checkpoint) -> tuple[Published, Restored]:
    """Run stages 5 and 6: publish, restore."""
    from unbroken.stages.load_checkpoint import load_checkpoint  # noqa: PLC0415 (torch)
    from unbroken.stages.save_checkpoint import save_checkpoint  # noqa: PLC0415

    config, run, encoder = prepared.config, prepared.run, prepared.preprocessed.encoder
    published = _logged("save_checkpoint", save_checkpoint(last, prepared.splits, encoder, config, run))
    restored = _logged("load_checkpoint", load_checkpoint(published, prepared.splits, encoder, config, run))
    return published, restored


def retrain(config: RetrainConfig, report: Report = ignore_progress) -> "Decision | None":
    """Train a challenger on what is new and promote it if it is truly better; None if nothing is new.

    A page on the decision lies beside it afterwards, unless `UNBROKEN_REPORT` is `off`.

    Args:
        config: The model, where its new rows arrive, and when a challenger wins.
        report: Called with the progress of the challenger's training.
    """
    try:
        return _run_round(config, report)
    except BlockedError as error:
        from unbroken.charts.retraining.report import write_blocked_or_warn  # noqa: PLC0415 (torch)

        write_blocked_or_warn(error, config)
        raise


def _run_round(config: RetrainConfig, report: Report) -> "Decision | None":
    from unbroken.charts.retraining.report import write_decision_or_warn  # noqa: PLC0415 (torch)
    from unbroken.integrations.effects import tracking_effects  # noqa: PLC0415 (as below)
    from unbroken.retraining.comparison import compare_models  # noqa: PLC0415
    from unbroken.retraining.data_check import check_data  # noqa: PLC0415
    from unbroken.retraining.datasets import prepare_data  # noqa: PLC0415
    from unbroken.retraining.effects import deliver  # noqa: PLC0415
    from unbroken.retraining.new_data import find_new_data, registry_of  # noqa: PLC0415
    from unbroken.retraining.promotion import promote  # noqa: PLC0415
    from unbroken.retraining.start import with_start  # noqa: PLC0415

    _require_no_block(config.train)
    registry = registry_of(config)
    deliver(registry, tracking_effects(registry))  # what a round that died has left
    cycle = _logged("find_new_data", find_new_data(config))
    if cycle is None:
        return None
    datasets = _logged("prepare_data", with_start(cycle, prepare_data(cycle, config), config))
    checked = _logged("check_data", check_data(cycle, datasets, config))
    challenger = Artifact.of(train(datasets.config, report).path)
    verdict = _logged("compare", compare_models(cycle, datasets, challenger, config))
    decision = _logged("promote", promote(cycle, datasets, checked, challenger, verdict, config))
    deliver(registry, tracking_effects(registry))
    write_decision_or_warn(decision, cycle, datasets, checked, challenger, config)
    return decision


def predict(config: PredictConfig) -> "Predictions":
    """Score a source of raw rows into one Parquet file: see `serving.scoring.score`.

    Args:
        config: The model, the rows and where the predictions go.
    """
    from unbroken.serving.scoring import score  # noqa: PLC0415 (torch)

    return score(config)


def _logged(stage: str, result: Result) -> Result:
    """Log what a stage gave."""
    log.info("%-15s %s", stage, "nothing" if result is None else result)
    return result
