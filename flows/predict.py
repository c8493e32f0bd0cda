"""Write predictions of the champion, or of another model, one row for each row of a source."""

if __name__ == "__main__":  # before Prefect and torch are imported: help, mistakes and finished runs do not need them
    import sys

    from unbroken.cli.main import main

    main(["predict", *sys.argv[1:]])

from tasks.predict import predict as score
from unbroken.config import PredictConfig
from unbroken.orchestration.assets import declare_assets
from unbroken.orchestration.flow_decorators import resumable_flow
from unbroken.serving.standing import Predictions


@resumable_flow("predict", lambda config, model="": config.for_model(model).title)
def predict(config: PredictConfig = PredictConfig(), model: str = "") -> Predictions:  # noqa: B008 (frozen)
    """Write one row of predictions for each row of a Parquet or CSV source.

    Args:
        config: The model, the rows and where the predictions go.
        model: In place of `config.model`: the folder of a model that was just promoted.
    """
    config = config.for_model(model)
    return declare_assets(score, config.place, config.source, config.model)(config)
