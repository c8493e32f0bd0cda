"""Retraining, last: the verdict is carried out."""

from pathlib import Path

from prefect.events import emit_event

from tasks.policies import uncached
from unbroken import promote as library
from unbroken.artifact import Artifact
from unbroken.check_data import Checked
from unbroken.find_new_data import Round
from unbroken.gate import Verdict
from unbroken.promote import Decision
from unbroken.retrain_config import RetrainConfig


@uncached
def promote(found: Round, checked: Checked, challenger: Artifact, verdict: Verdict, config: RetrainConfig) -> Decision:
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
