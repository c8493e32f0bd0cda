"""`unbroken track`: tell an MLflow server which version is the champion, as after a rollback."""

from pathlib import Path

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console

from unbroken.cli.terminal import FINE, as_text
from unbroken.config import TrackingConfig
from unbroken.errors import ConfigError
from unbroken.serving.registry import Registry


def add_arguments(_: str, parser: ArgumentParser) -> None:
    """Add model and server."""
    parser.add_argument("model", type=str, help="Folder of the model, such as models/flights.")
    parser.add_argument("uri", type=str, help="URL of the MLflow server.")
    parser.add_argument(
        "--experiment", type=str, default=TrackingConfig.experiment, help="Name of the experiment there."
    )


def run(_: str, arguments: Namespace, console: Console) -> int:
    """Tell the server the champion and print its version there."""
    tracking, registry = (
        TrackingConfig(uri=arguments.uri, experiment=arguments.experiment),
        Registry(Path(arguments.model)),
    )
    from mlflow.exceptions import MlflowException  # noqa: PLC0415 (an extra)

    from unbroken.integrations.mlflow_tracking import set_champion  # noqa: PLC0415

    try:
        version = set_champion(tracking, registry)
    except MlflowException as error:
        raise ConfigError(f"uri {arguments.uri}: {error}") from error
    known = f"the champion is version {version}" if version else "the server knows no champion"
    console.print(as_text(f"{registry.folder.name}: {known}"), soft_wrap=True)
    return FINE
