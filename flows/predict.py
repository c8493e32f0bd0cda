"""Score rows with the champion: `python -m flows.predict --help`."""

from flows.terminal import main
from tasks.policies import resumable
from tasks.predict import predict as score
from unbroken.predict import Predictions
from unbroken.retrain_config import PredictConfig


@resumable("predict", "{config.source} by {config.model}")
def predict(config: PredictConfig = PredictConfig()) -> Predictions:  # noqa: B008 (frozen)
    """Write one row of predictions for each row of a Parquet or CSV source.

    Args:
        config: The model, the rows and where the predictions go.
    """
    return score(config)


if __name__ == "__main__":
    main(predict, PredictConfig)
