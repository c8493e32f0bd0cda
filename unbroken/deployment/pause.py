"""The pause of a work pool by `stop`, which the next `serve` ends; a pause by a person stays."""

from pathlib import Path

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolUpdate
from prefect.client.schemas.objects import WorkerStatus
from prefect.exceptions import ObjectNotFound


def paused_by_stop(folder: Path) -> Path:
    """Return the file in a folder of services that says so."""
    return folder / "paused"


def pause(client: SyncPrefectClient, pool: str, record: Path) -> None:
    """Pause a pool, so that no worker starts a run of it, and note that in a file; leave a paused pool as it is."""
    try:
        paused = client.read_work_pool(pool).is_paused
    except ObjectNotFound:
        return  # `serve` did not come so far
    if not paused:
        record.write_text(pool)  # before the pause: a pool that nobody ends the pause of would be worse
        client.update_work_pool(pool, WorkPoolUpdate(is_paused=True))


def end_pause(client: SyncPrefectClient, record: Path) -> None:
    """Let the pool that `pause` paused start runs again; without a record do nothing."""
    if record.exists():
        client.update_work_pool(record.read_text(), WorkPoolUpdate(is_paused=False))
        record.unlink()


def is_shared(client: SyncPrefectClient, pool: str) -> bool:
    """Tell whether several workers take runs from a pool: those of other machines must go on."""
    workers = client.read_workers_for_work_pool(pool)
    return sum(worker.status is WorkerStatus.ONLINE for worker in workers) > 1
