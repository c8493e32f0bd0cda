"""What a finished run is recognised by, so that its rerun needs neither Prefect nor torch, which take seconds to import."""

from dataclasses import dataclass
from typing import Any

from unbroken.config import Config
from unbroken.errors import ConfigError, DataError
from unbroken.run import Run
from unbroken.stages.library import library_digest
from unbroken.stages.results import Restored
from unbroken.storage import atomic
from unbroken.storage.artifact import Artifact, artifacts_in, from_json, to_json, verify


@dataclass(frozen=True, kw_only=True)
class Finished:
    """The end of a run: from which source files and settings, every file that it made, and what it gave."""

    source: str
    config: Config
    files: tuple[Artifact, ...]
    restored: Restored


def record(run: Run, config: Config, restored: Restored, *results: Any) -> None:
    """Write down that a run is finished.

    Args:
        run: The run.
        config: Its settings.
        restored: What the last stage gave.
        results: What the others gave; every file in them has to be whole for the run to count as finished.
    """
    digests = {file.path: file.digest for value in (restored, *results) for file in artifacts_in(value)}
    files = tuple(Artifact(path=path, digest=digest) for path, digest in digests.items())
    finished = Finished(source=library_digest(), config=config, files=files, restored=restored)
    atomic.write(run.finished, to_json(finished, indent=1))


def load(run: Run, config: Config) -> Restored | None:
    """Return what a run gave; None unless the settings and the source are the same and every file is whole."""
    if not run.finished.exists():
        return None
    try:
        finished = from_json(Finished, run.finished.read_bytes(), str(run.finished))
        if (finished.source, finished.config) != (library_digest(), config):
            return None
        for file in finished.files:
            verify(file)
    except (ConfigError, DataError):
        return None  # the flow tells what is wrong, and makes it anew
    return finished.restored
