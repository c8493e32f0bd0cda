"""Retraining: champion and challenger on the same rows."""

from tasks.policies import stage
from unbroken import compare as library
from unbroken.artifact import Artifact
from unbroken.find_new_data import Round
from unbroken.gate import Verdict
from unbroken.prepare_data import Prepared
from unbroken.retrain_config import RetrainConfig


@stage
def compare(found: Round, prepared: Prepared, challenger: Artifact, config: RetrainConfig) -> Verdict:
    """Let both score the held-out new rows through their own preprocessing, and judge."""
    return library.compare(found, prepared, challenger, config)
