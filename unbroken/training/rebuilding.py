"""The model of a published checkpoint, built anew to take its weights."""

from torch import nn

from unbroken.config import ModelConfig
from unbroken.config.model import PRESETS
from unbroken.features.spec import FeatureSpec
from unbroken.models.factory import Undrawn, build_model
from unbroken.reproducibility.determinism import building
from unbroken.reproducibility.generators import seed_weights


def rebuild(config: ModelConfig, features: FeatureSpec, seed: int, subject: str, members: int = 1) -> nn.Module:
    """Return a model with some weights; from a factory of the user's own with all that it drew before training.

    Args:
        config: What builds it.
        features: Its inputs and outputs.
        seed: That of its training.
        subject: What needs it, for a message.
        members: How many of them make up the model.

    Raises:
        LockedError: A training in another thread draws from the generators that the factory may draw from.
    """
    if config.factory in PRESETS:
        with Undrawn():
            return build_model(config, features, members)
    with building(f"{subject}: model.factory {config.factory}"):
        seed_weights(seed)
        return build_model(config, features, members)
