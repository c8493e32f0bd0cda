"""The event by which a server learns that a model has another champion, and starts its scoring."""

import asyncio
import os
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from prefect.events import Event
from prefect.events.clients import get_events_client
from prefect.settings import get_current_settings
from prefect.utilities.asyncutils import run_coro_as_sync

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


def announce(registry: Registry, key: str) -> None:
    """Tell the server of the process that a model has another champion; it knows the event by its key.

    Raises:
        OSError: It cannot be told.
    """
    event = Event(event=EVENT, id=uuid5(NAMESPACE_URL, key), **_content(registry))
    run_coro_as_sync(_send(event))  # a flow may be called where a loop runs


def announce_from_terminal(registry: Registry) -> str | None:
    """Tell the server that the settings name, if they name one, that a model has another champion.

    Returns:
        Its URL, None without one.

    Raises:
        ServerError: It cannot be told.
    """
    url = use_server()
    if url is None:
        return None
    try:
        asyncio.run(_send(Event(event=EVENT, **_content(registry))))
    except OSError as error:
        raise ServerError(f"{without_credentials(url)}: the server takes no events: {error}") from error
    return without_credentials(url)


def use_server() -> str | None:
    """Return the URL of the server that the settings name, None without one; raise ServerError if it cannot be used."""
    use_own_secret(Project.of(Path.cwd(), os.environ))
    url = get_current_settings().api.url
    if url is not None:
        bypass_proxies()
        require_server(INSTEAD)
    return url


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
