"""Which runs may be deleted, and why the others stay; deleting them so that a kill leaves a whole run or none."""

import secrets
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from filelock import Timeout

from unbroken.catalog.fork import FORKED
from unbroken.catalog.summary import RunFolder, RunSummary
from unbroken.errors import LockedError
from unbroken.serving.registry import Registry
from unbroken.storage import atomic, own_files
from unbroken.storage.temporary import TEMPORARY, sweep

YOUNGEST = timedelta(hours=1)
"""How long ago a run must have been written to before it may go without being named."""


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """A run, and why it stays; None if it may go."""

    summary: RunSummary
    reason: str | None


def judge(
    runs: Iterable[Path], others: Iterable[Path], models_folder: Path, oldest: datetime | None
) -> list[Judgement]:
    """Judge which runs may go.

    Args:
        runs: The folders of the runs that are asked for.
        others: Those of all runs beside them, some of which may have started from them.
        models_folder: Where models are, whose champions stay.
        oldest: When a run must have been written to last, at the latest; None where the runs were named.

    Returns:
        One judgement a run, in the order of the runs.
    """
    champions = _champions(models_folder)
    children = {parent: path for path in others if (parent := RunFolder(path).run.parent)}
    judgements = []
    for path in runs:
        summary = RunFolder(path).summary()
        digests = _digests(path)
        kept = [f"the champion of {champions[digest]}" for digest in digests if digest in champions]
        kept += [f"{children[digest]} started from it" for digest in digests if digest in children]
        kept += ["a process trains it"] if summary.state == "training" else []
        if oldest is not None and datetime.fromisoformat(summary.changed) > oldest:
            kept.append(f"changed {summary.changed}")
        judgements.append(Judgement(summary=summary, reason=kept[0] if kept else None))
    return judgements


def latest_change(days: float, now: datetime) -> datetime:
    """Return when a run must have been written to last to be so many days old, and never within the last hour."""
    return now.astimezone(UTC) - max(timedelta(days=days), YOUNGEST)


def delete(run: Path) -> None:
    """Delete the folder of a run; it loses its name at once, and what a kill leaves is swept by the next call.

    Raises:
        LockedError: A process has begun to train it.
    """
    sweep(run.parent)
    lock = own_files.lock(run / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise LockedError(f"{run}: a process has begun to train it; it stays") from None
    try:
        hidden = run.with_name(f".{run.name}.{secrets.token_hex(4)}{TEMPORARY}")
        run.rename(hidden)
        atomic.sync_folder(run.parent)
        shutil.rmtree(hidden)
    finally:
        lock.release()


def _digests(run: Path) -> set[str]:
    """Return the SHA-256 of all that a run has published: itself, and for others to start from."""
    folder = RunFolder(run).run
    paths = [folder.published, *(run / FORKED).glob(f"*/{folder.published.name}")]
    return {atomic.digest(path) for path in paths if path.is_file()}


def _champions(models_folder: Path) -> dict[str, str]:
    """Return the names of the models by the digest of each of their champions, also of those before, for a rollback."""
    folders = sorted(path for path in models_folder.glob("*") if (path / "champion.json").is_file())
    return {digest: folder.name for folder in folders for digest in Registry(folder).pointer.champions}
