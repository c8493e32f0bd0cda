"""Retraining, last: the verdict is carried out."""

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
    """Register the challenger, and move the pointer if it won."""
    return library.promote(found, checked, challenger, verdict, config)
