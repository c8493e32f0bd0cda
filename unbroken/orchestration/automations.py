"""The server's part in restarting runs, for deaths that no process is left to report: rules on the events of tagged runs."""

from datetime import timedelta
from typing import Any

from prefect.automations import AutomationCore
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification

from unbroken.orchestration.restart import RESTARTS, TAG

SILENCE = timedelta(seconds=90)
"""Three heartbeats of the deployments' PREFECT_FLOWS_HEARTBEAT_FREQUENCY."""

SUBMISSION = timedelta(minutes=5)
UNATTENDED = timedelta(seconds=30)


def automations() -> list[AutomationCore]:
    """Return the rules: a silent run has crashed; a crashed run that nobody started again is; a stuck one starts anew."""
    silent = f"no heartbeat for {SILENCE.seconds} s: the machine or its processes are gone"
    unattended = "nobody started the run again; goes on from its newest checkpoint"
    stuck = f"submitted {SUBMISSION.seconds} s ago and not running: its worker is gone"
    return [
        _when_nothing_follows("heartbeat", SILENCE, _to(StateType.CRASHED, "Crashed", silent)),
        _when_nothing_follows("Crashed", UNATTENDED, _to(StateType.SCHEDULED, "AwaitingRetry", unattended), RESTARTS),
        _when_nothing_follows("Submitting", SUBMISSION, _to(StateType.SCHEDULED, "AwaitingRetry", stuck)),
    ]


def apply() -> None:
    """Create the automations, or update those of the same name that differ.

    One that is right is left alone: an update would forget the runs that it watches.
    """
    with get_client(sync_client=True) as client:
        for automation in automations():
            known = client.read_automations_by_name(automation.name)
            if not known:
                client.create_automation(automation)
            elif _content(known[0]) != _content(automation):
                client.update_automation(known[0].id, automation)


def _content(automation: AutomationCore) -> dict[str, Any]:
    return automation.model_dump(mode="json", include={"description", "enabled", "trigger", "actions"})


def _to(state: StateType, name: str, message: str) -> ChangeFlowRunState:
    return ChangeFlowRunState(state=state, name=name, message=message)


def _when_nothing_follows(
    event: str, within: timedelta, action: ChangeFlowRunState, most_runs: int | None = None
) -> AutomationCore:
    of_a_run: dict[str, str | list[str]] = {"prefect.resource.id": "prefect.flow-run.*"}
    if most_runs is not None:
        # From 1 on: one that never ran at all, for want of a command or an image, would only fail again and again.
        of_a_run["prefect.run-count"] = [str(count) for count in range(1, most_runs + 1)]
    trigger = EventTrigger(
        posture=Posture.Proactive,
        match=ResourceSpecification(of_a_run),
        match_related=ResourceSpecification({"prefect.resource.id": f"prefect.tag.{TAG}"}),
        for_each={"prefect.resource.id"},
        after={f"prefect.flow-run.{event}"},
        expect={"prefect.flow-run.*"},
        threshold=1,
        within=within,
    )
    return AutomationCore(
        name=f"unbroken: nothing after {event}",
        description=f"{action.message}. Holds for runs tagged {TAG}.",
        trigger=trigger,
        actions=[action],
    )
