"""Retraining: new rows to train and to judge, older ones beside them."""

from tasks.policies import stage
from unbroken import prepare_data as library
from unbroken.find_new_data import Round
from unbroken.prepare_data import Prepared
from unbroken.retrain_config import RetrainConfig


@stage
def prepare_data(found: Round, config: RetrainConfig) -> Prepared:
    """Check the new rows against the champion's columns, hold some out, and mix older ones in."""
    return library.prepare_data(found, config)
