"""Rules of earlier versions on the server, which acted on events; what heals runs now looks for itself."""

from prefect.client.orchestration import get_client

EARLIER = (
    "unbroken: nothing after heartbeat",
    "unbroken: nothing after Crashed",
    "unbroken: nothing after Submitting",
)


def remove() -> None:
    """Remove the automations that earlier versions created: they would act beside what replaced them."""
    with get_client(sync_client=True) as client:
        for name in EARLIER:
            for automation in client.read_automations_by_name(name):
                client.delete_automation(automation.id)
