"""Run a flow of the project in the present folder on Prefect, or the same stages in this process."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser
from rich.console import Console

from unbroken.orchestration.garbage import collector_paused


def add_orchestrator_argument(parser: ArgumentParser) -> None:
    """Add the flag that leaves Prefect out."""
    parser.add_argument(
        "--no-orchestrator", action="store_true", help="Run the stages in this process, without Prefect."
    )


def choose_flow(name: str, console: Console, *, orchestrated: bool) -> Callable[[Any], Any] | None:
    """Return the flow of that name of the project in this folder, with a server that answers it; None to do without.

    Where Prefect is left out, a line says so.
    """
    if orchestrated and Path("flows", f"{name}.py").is_file():
        return _import_flow(name)
    reason = f"there is no flows/{name}.py in this folder" if orchestrated else "as asked for"
    console.print(f"in this process, without Prefect: {reason}", soft_wrap=True)
    return None


def _import_flow(name: str) -> Callable[[Any], Any]:
    with collector_paused():
        from unbroken.orchestration.server import server_beside_imports  # noqa: PLC0415 (Prefect)

        with server_beside_imports():
            return getattr(importlib.import_module(f"flows.{name}"), name)
