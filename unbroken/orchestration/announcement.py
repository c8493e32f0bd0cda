"""The event by which a server learns that a model has another champion, and starts its scoring."""

import asyncio
import os
from pathlib import Path
from typing import Any

from prefect.events import Event, emit_event
from prefect.events.clients import get_events_client
from prefect.settings import get_current_settings

from unbroken.config.project import Project
from unbroken.errors import ServerError
from unbroken.orchestration.server.reachability import (
    bypass_proxies,
    require_server,
    use_own_secret,
    without_credentials,
)
from unbroken.serving.registry import Registry

EVENT = "unbroken.promoted"
INSTEAD = "and score with `unbroken predict`"
"""What unsetting the server's URL is for, in words that follow "unset it"."""


def announce_from_run(registry: Registry) -> None:
    """Tell the server of a flow run that a model has a champion, in the background."""
    emit_event(EVENT, **_content(registry))


def announce_from_terminal(registry: Registry) -> str | None:
    """Tell the server that the settings name, if they name one, that a model has another champion.

    Returns:
        Its URL, None without one.

    Raises:
        ServerError: It cannot be told.
    """
    use_own_secret(Project.of(Path.cwd(), os.environ))
    url = get_current_settings().api.url
    if url is None:
        return None
    bypass_proxies()
    require_server(INSTEAD)
    try:
        asyncio.run(_send(Event(event=EVENT, **_content(registry))))
    except OSError as error:
        raise ServerError(f"{without_credentials(url)}: the server takes no events: {error}") from error
    return without_credentials(url)


def _content(registry: Registry) -> dict[str, Any]:
    folder, last = registry.folder.absolute(), registry.last_round()
    return {
        "resource": {
            "prefect.resource.id": f"unbroken.model.{folder.name}",
            "prefect.resource.name": folder.name,
            "unbroken.project": Project.of(Path.cwd(), os.environ).name,
        },
        "payload": {
            "folder": str(folder),
            "champion": registry.pointer.champion,
            "source": last.source if last else None,
        },
    }


async def _send(event: Event) -> None:
    async with get_events_client() as client:
        await client.emit(event)
