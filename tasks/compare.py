"""Retraining: champion and challenger on the same rows."""

from unbroken.config import RetrainConfig
from unbroken.orchestration.task_decorators import cached_task
from unbroken.retraining import comparison as library
from unbroken.retraining.datasets import CycleDatasets
from unbroken.retraining.gate import Verdict
from unbroken.retraining.new_data import Cycle
from unbroken.storage.artifact import Artifact


@cached_task
def compare(cycle: Cycle, datasets: CycleDatasets, challenger: Artifact, config: RetrainConfig) -> Verdict:
    """Let both score the held-out new rows through their own preprocessing, and judge."""
    return library.compare_models(cycle, datasets, challenger, config)
