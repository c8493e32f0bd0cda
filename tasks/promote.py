"""Retraining, last: carry the verdict out."""

import os
from pathlib import Path

from prefect.events import emit_event

from unbroken.config import RetrainConfig
from unbroken.config.project import Project
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
    project = Project.of(Path.cwd(), os.environ)
    decision = library.promote(cycle, datasets, check, challenger, verdict, config)
    if verdict.promote:
        folder = str(registry_of(config).folder.absolute())
        emit_event(
            "unbroken.promoted",
            resource={
                "prefect.resource.id": f"unbroken.model.{config.model}",
                "prefect.resource.name": config.model,
                "unbroken.project": project.name,
            },
            payload={"folder": folder, "source": config.train.data.source, "champion": decision.champion},
        )
    return decision
