"""Tell an MLflow server the champion."""

import argparse
import sys
from pathlib import Path

from mlflow.exceptions import MlflowException

from unbroken.config import TrackingConfig
from unbroken.errors import UnbrokenError
from unbroken.integrations.mlflow_tracking import set_champion
from unbroken.serving.registry import Registry


def main(arguments: list[str]) -> int:
    """Tell the server the champion; return the exit code: 0 done, 2 the user can mend it."""
    parser = argparse.ArgumentParser(prog="python -m unbroken.tracking", allow_abbrev=False)
    parser.add_argument("model", type=Path, help="folder of the model, such as models/flights")
    parser.add_argument("uri", help="URL of the MLflow server")
    parser.add_argument("--experiment", default=TrackingConfig.experiment)
    given = parser.parse_args(arguments)
    try:
        version = set_champion(TrackingConfig(uri=given.uri, experiment=given.experiment), Registry(given.model))
    except (UnbrokenError, MlflowException) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(
        f"{given.model.name}: the champion is version {version}"
        if version
        else f"{given.model}: the server knows no champion"
    )
    return 0
