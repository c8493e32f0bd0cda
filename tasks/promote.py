"""Retraining, last: the verdict is carried out."""

from pathlib import Path

from prefect.events import emit_event

from unbroken.config import RetrainConfig
from unbroken.orchestration.policies import uncached
from unbroken.retraining import promotion as library
from unbroken.retraining.data_check import DataCheck
from unbroken.retraining.gate import Verdict
from unbroken.retraining.new_data import Cycle
from unbroken.retraining.promotion import Decision
from unbroken.storage.artifact import Artifact


@uncached
def promote(
    found: Cycle, checked: DataCheck, challenger: Artifact, verdict: Verdict, config: RetrainConfig
) -> Decision:
    """Register the challenger, and move the pointer if it won; then tell the server, which starts the scoring."""
    decision = library.promote(found, checked, challenger, verdict, config)
    if verdict.promote:
        folder = str((Path(config.models_folder) / config.model).absolute())
        emit_event(
            "unbroken.promoted",
            resource={"prefect.resource.id": f"unbroken.model.{config.model}", "prefect.resource.name": config.model},
            payload={"folder": folder, "source": config.train.data.source, "champion": decision.champion},
        )
    return decision
