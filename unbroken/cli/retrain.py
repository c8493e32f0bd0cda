"""`unbroken retrain`: a champion and its challenger."""

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console
from rich.text import Text

from unbroken import pipeline
from unbroken.cli.flow import add_orchestrator_argument, choose_flow
from unbroken.cli.settings import add_settings, settings_of
from unbroken.cli.terminal import FINE, show_log
from unbroken.config import RetrainConfig

PROJECT_FILE = "retrain.toml"


def add_arguments(_: str, parser: ArgumentParser) -> None:
    """Add the settings of a retraining."""
    add_orchestrator_argument(parser)
    add_settings(parser, RetrainConfig, PROJECT_FILE)


def run(_: str, arguments: Namespace, console: Console) -> int:
    """Run the retraining and print what came of it."""
    show_log(console)
    config = settings_of(arguments, RetrainConfig)
    config.require_complete()
    flow = choose_flow("retrain", console, orchestrated=not arguments.no_orchestrator)
    result = flow(config) if flow is not None else pipeline.retrain(config)
    console.print(Text(str("Skipped: nothing new" if result is None else result)), soft_wrap=True)
    return FINE
