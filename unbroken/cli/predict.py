"""`unbroken predict`: raw rows and a model."""

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console
from rich.text import Text

from unbroken import pipeline
from unbroken.cli.flow import add_orchestrator_argument, choose_flow
from unbroken.cli.settings import add_settings, settings_of
from unbroken.cli.terminal import FINE, show_log
from unbroken.config import PredictConfig

PROJECT_FILE = "predict.toml"


def add_arguments(_: str, parser: ArgumentParser) -> None:
    """Add the settings of a scoring."""
    add_orchestrator_argument(parser)
    add_settings(parser, PredictConfig, PROJECT_FILE)


def run(_: str, arguments: Namespace, console: Console) -> int:
    """Run the scoring and print what came of it."""
    show_log(console)
    config = settings_of(arguments, PredictConfig)
    config.require_complete()
    flow = choose_flow("predict", console, orchestrated=not arguments.no_orchestrator)
    result = flow(config) if flow is not None else pipeline.predict(config)
    console.print(Text(str("Skipped: nothing new" if result is None else result)), soft_wrap=True)
    return FINE
