"""`unbroken retrain | predict`, and for all: a flow of the project in this folder on Prefect, or the same stages here."""

import importlib
import io
import os
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace
from pydantic import ValidationError
from rich.console import Console

from unbroken import pipeline
from unbroken.cli.settings import add_settings, flow_file, project_file, settings_of
from unbroken.cli.terminal import FINE, as_text, shown_log
from unbroken.config import PredictConfig, RetrainConfig
from unbroken.config.project import Project
from unbroken.errors import ConfigError
from unbroken.orchestration.garbage import collector_paused

SETTINGS: dict[str, type[RetrainConfig] | type[PredictConfig]] = {"retrain": RetrainConfig, "predict": PredictConfig}


def add_arguments(command: str, parser: ArgumentParser) -> None:
    """Add the settings."""
    add_orchestrator_argument(parser)
    add_settings(parser, SETTINGS[command], command)


def run(command: str, arguments: Namespace, console: Console) -> int:
    """Run the flow, or the same in this process, and print what came of it."""
    config = settings_of(arguments, SETTINGS[command])
    config.require_complete()
    if file := project_file(command):
        console.print(f"config {file}")
    with shown_log(console):
        flow = choose_flow(command, console, orchestrated=not arguments.no_orchestrator)
        result = flow(config) if flow is not None else getattr(pipeline, command)(config)
    console.print(as_text(str("Skipped: nothing new" if result is None else result)), soft_wrap=True)
    return FINE


def add_orchestrator_argument(parser: ArgumentParser) -> None:
    """Add the flag that leaves Prefect out."""
    parser.add_argument(
        "--no-orchestrator", action="store_true", help="Run the stages in this process, without Prefect."
    )


def choose_flow(name: str, console: Console, *, orchestrated: bool) -> Callable[[Any], Any] | None:
    """Return the flow of that name of the project in this folder, with a server that answers it; None to do without.

    Where Prefect is left out, a line says so.
    """
    if orchestrated and flow_file(name).is_file():
        return _import_flow(name)
    reason = f"there is no {flow_file(name)} in this folder" if orchestrated else "as asked for"
    console.print(f"in this process, without Prefect: {reason}", soft_wrap=True)
    return None


def _import_flow(name: str) -> Callable[[Any], Any]:
    with collector_paused():
        with wrong_settings_in_words():
            from unbroken.orchestration.server.ephemeral import server_beside_imports  # noqa: PLC0415
            from unbroken.orchestration.server.reachability import explain_loss, use_own_secret  # noqa: PLC0415 (Prefect)
        use_own_secret(Project.of(Path.cwd(), os.environ))
        with server_beside_imports():
            return explain_loss(getattr(importlib.import_module(f"flows.{name}"), name))


@contextmanager
def wrong_settings_in_words(instead: str = ", or leave Prefect out with --no-orchestrator") -> Generator[None]:
    """Raise ConfigError if Prefect cannot be imported with its settings, without their values, which can be secret.

    Prefect itself prints them, as warnings before that.
    """
    warnings = io.StringIO()
    try:
        with redirect_stderr(warnings):
            yield
    except ValueError as error:
        wrong = error.errors(include_input=False, include_url=False) if isinstance(error, ValidationError) else []
        problems = [f"{'.'.join(map(str, problem['loc'])) or 'settings'}: {problem['msg']}" for problem in wrong]
        raise ConfigError(
            f"Prefect does not start with its settings: {'; '.join(problems) or error}. Correct what PREFECT_... variables, "
            f"the profile in profiles.toml, prefect.toml or .env say{instead}"
        ) from None
    sys.stderr.write(warnings.getvalue())
