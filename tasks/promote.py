"""Retraining, last: carry the verdict out."""

from unbroken.config import RetrainConfig
from unbroken.orchestration.notification import page
from unbroken.orchestration.task_decorators import uncached_task
from unbroken.retraining import promotion as library
from unbroken.retraining.data_check import DataCheck
from unbroken.retraining.datasets import CycleDatasets
from unbroken.retraining.gate import Verdict
from unbroken.retraining.new_data import Cycle
from unbroken.retraining.promotion import Decision
from unbroken.storage.artifact import Artifact


@uncached_task
def promote(
    cycle: Cycle,
    datasets: CycleDatasets,
    check: DataCheck,
    challenger: Artifact,
    verdict: Verdict,
    config: RetrainConfig,
) -> Decision:
    """Register the challenger, and move the pointer if it won; who is to be told of it is written down with that."""
    return library.promote(cycle, datasets, check, challenger, verdict, config, page())
