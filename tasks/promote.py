"""Retraining, last: carry the verdict out."""

from unbroken.config import RetrainConfig
from unbroken.orchestration.announcement import announce_from_run
from unbroken.orchestration.task_decorators import uncached_task
from unbroken.retraining import promotion as library
from unbroken.retraining.data_check import DataCheck
from unbroken.retraining.datasets import CycleDatasets
from unbroken.retraining.gate import Verdict
from unbroken.retraining.new_data import Cycle, registry_of
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
    """Register the challenger, and move the pointer if it won; an event then lets the server start the scoring."""
    decision = library.promote(cycle, datasets, check, challenger, verdict, config)
    if verdict.promote:
        announce_from_run(registry_of(config))
    return decision
