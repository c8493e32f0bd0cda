"""Runs that crashed too often and are given up: people are told, by the block that the run names, once of each surrender.

The server holds both: the run's last state is the intent, a label of the run is `done`, so any healer goes on for another.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun

from unbroken.orchestration.notification import notify
from unbroken.orchestration.restart import GAVE_UP

LABEL = "unbroken.told"
"""Label of a flow run: the last state that people were told of."""
PATHS = (("config", "notify", "block"), ("config", "train", "notify", "block"))
"""Where the parameters of a training and of a retraining name the block."""


def untold(client: SyncPrefectClient, since: datetime) -> list[FlowRun]:
    """Return the deployed runs that were given up since a time, which name a block that was not told of it."""
    choice = FlowRunFilter.model_validate(
        {"state": {"name": {"any_": [GAVE_UP]}}, "deployment_id": {"is_null_": False}, "end_time": {"after_": since}}
    )
    runs = client.read_flow_runs(flow_run_filter=choice)
    return [run for run in runs if block_of(run.parameters) and run.labels.get(LABEL) != str(run.state_id)]


def block_of(parameters: Mapping[str, Any]) -> str | None:
    """Return the notification block that the parameters of a flow run name."""
    for path in PATHS:
        value: Any = parameters
        for name in path:
            value = value.get(name) if isinstance(value, Mapping) else None
        if isinstance(value, str) and value:
            return value
    return None


def tell(client: SyncPrefectClient, run: FlowRun, page: str) -> str:
    """Tell the block of a run that it was given up, and mark the run.

    Args:
        client: The server.
        run: The run.
        page: Its URL.

    Raises:
        UnbrokenError: The block is not there, or cannot be told.
    """
    block = block_of(run.parameters)
    assert block is not None  # it is among the untold
    reason = (run.state and run.state.message) or "no reason was given"
    notify(block, f"{run.name}: given up", f"{reason}\n{page}", f"{run.id}-{run.state_id}")
    client.update_flow_run_labels(run.id, {LABEL: str(run.state_id)})
    return f"{block} is told that it was given up"
