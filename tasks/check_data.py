"""Retraining: does the data still look like that of the champion?"""

from tasks.policies import stage
from unbroken import check_data as library
from unbroken.check_data import Checked
from unbroken.find_new_data import Round
from unbroken.prepare_data import Prepared
from unbroken.retrain_config import RetrainConfig


@stage
def check_data(found: Round, prepared: Prepared, config: RetrainConfig) -> Checked:
    """Measure the drift of the new rows; stop before any training if a rule blocks."""
    return library.check_data(found, prepared, config)
