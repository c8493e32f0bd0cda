"""What a challenger starts from: the champion's weights where they fit, else from scratch, and why."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path

from unbroken.checkpoints.compatibility import check_shapes
from unbroken.checkpoints.published import read_published
from unbroken.checkpoints.tree import Tree, canonical
from unbroken.config import RetrainConfig, StartConfig
from unbroken.config.chosen import MLP
from unbroken.config.config import identity
from unbroken.config.model import PRESETS, ModelConfig
from unbroken.data.schema import Schema
from unbroken.errors import CheckpointMismatchError, ConfigError
from unbroken.features.encoder import Encoder
from unbroken.models.factory import build_model
from unbroken.retraining.datasets import CycleDatasets
from unbroken.retraining.new_data import Cycle, registry_of
from unbroken.serving.registry import Version
from unbroken.serving.trust import objection

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class StartingPoint:
    """The settings of a start, and why they are not those that were asked for, if they are not."""

    config: StartConfig
    reason: str = ""

    def __str__(self) -> str:
        start = "from the champion's weights" if self.config.warm_from else "from scratch"
        return f"{start}: {self.reason}" if self.reason else start


def with_start(cycle: Cycle, datasets: CycleDatasets, config: RetrainConfig) -> CycleDatasets:
    """Return the rows of a cycle with what its challenger starts from; raise ConfigError as `starting_point` does."""
    config = with_model(cycle.rival, config)
    start = starting_point(cycle.rival, datasets.schema, config)
    log.info("the challenger starts %s", start)
    challenger = replace(datasets.config, start=start.config, model=config.train.model)
    return replace(datasets, config=challenger, start=str(start))


def with_model(champion: Version | None, config: RetrainConfig) -> RetrainConfig:
    """Return the settings with a model: where none is named that of the champion, if there is one."""
    model = config.train.chosen.model
    if champion is not None and config.train.model == ModelConfig():
        path = Path(champion.path)
        tree, digest = read_published(path)
        champion_factory(tree, digest, path, config)
        model = ModelConfig(**tree["config"]["model"])
    return replace(config, train=replace(config.train, model=model))


def starting_point(champion: Version | None, schema: Schema, config: RetrainConfig) -> StartingPoint:
    """Return what a challenger starts from.

    Args:
        champion: The champion, if it is compared with it.
        schema: The challenger's contract.
        config: What is asked for.

    Raises:
        ConfigError: The champion is built by a factory that the settings do not name.
    """
    scratch = replace(config.train.start, warm_from=None)
    if champion is None:
        return StartingPoint(config=scratch, reason="there is no champion to start from")
    path = Path(champion.path)
    tree, digest = read_published(path)
    champion_factory(tree, digest, path, config)
    if config.start == "scratch":
        return StartingPoint(config=scratch)
    if reason := _obstacle(tree, path, schema, config):
        return StartingPoint(config=scratch, reason=reason)
    warm = replace(config.train.start, warm_from=champion.path)
    before, training = tree["config"]["training"], config.train.training
    if warm.optimizer == "keep" and (
        before["optimizer"] != training.optimizer or before["optimizer_options"] != training.optimizer_options
    ):
        reason = (
            f"the optimizer begins anew, since the champion's is {before['optimizer']} {before['optimizer_options']}"
        )
        return StartingPoint(config=replace(warm, optimizer="reset"), reason=reason)
    return StartingPoint(config=warm)


def champion_factory(tree: Tree, digest: str, path: Path, config: RetrainConfig) -> str:
    """Return what builds a champion's model; raise ConfigError unless the settings name it, or it is trusted by its promotion."""
    factory = tree["config"]["model"]["factory"]
    named = (*PRESETS, config.train.model.factory, config.gate.champion_factory)
    if factory in named:
        return factory
    if reason := objection(path, digest, factory, registry_of(config).folder, Path.cwd()):
        raise ConfigError(
            f"{path}: the champion's model is built by {factory!r}, found train.model.factory "
            f"{config.train.model.factory!r}: {reason}. If you trust it, give gate.champion_factory {factory!r}"
        )
    return factory


def _obstacle(tree: Tree, path: Path, schema: Schema, config: RetrainConfig) -> str:
    """Return why the champion's weights do not fit the challenger; nothing if they do."""
    encoder, train = Encoder.of_tree(tree["scaler"], path), config.train
    if schema.features != encoder.schema.features:
        return "its features are not the champion's"
    if tree["config"]["model"]["factory"] != train.model.factory:
        return f"its model is built by {train.model.factory}, the champion's by {tree['config']['model']['factory']}"
    if train.start.scaler == "refit" and (train.model.factory != MLP or train.training.members > 1):
        return "start.scaler refit can be folded into an mlp alone"
    settings, own = identity(train)["preprocess"], tree["config"]["preprocess"]
    if train.start.scaler == "keep" and settings != own:
        return f"preprocess is {settings}, but the champion's encoder, which start.scaler keeps, was fitted with {own}"
    try:
        model = build_model(train.model, encoder.features, train.training.members)
        check_shapes(tree["model_state_dict"], canonical(model.state_dict()), "weights", "")
    except CheckpointMismatchError as error:
        return f"the champion's weights do not fit: {str(error).removeprefix('weights.').rstrip('. ')}"
    return ""
