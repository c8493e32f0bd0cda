"""What a finished run is recognised by, so that its rerun needs neither Prefect nor torch, which take seconds to import."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from unbroken.code.record import digest_of, installed_version
from unbroken.code.source import library_digest, library_modules
from unbroken.config import Config
from unbroken.errors import ConfigError, DataError
from unbroken.run import Run, keep_name
from unbroken.stages.results import Restored
from unbroken.storage import atomic, own_files
from unbroken.storage.artifact import Artifact, artifacts_in, from_json, to_json, verify
from unbroken.storage.temporary import sweep


@dataclass(frozen=True, kw_only=True)
class Finished:
    """The end of a run: from which source files and settings, every file that it made, and what it gave.

    Paths are relative to the run's folder: a copy of that, or one that was moved, answers for itself. `source` is the digest of
    the library's files, which is quick to compare, `code` that of what they mean where bits are decided.
    """

    source: str
    code: str | None = None
    torch: str | None = None
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
    files = tuple(Artifact(path=_inside(run, path), digest=digest) for path, digest in digests.items())
    restored = replace(restored, path=_inside(run, restored.path))
    finished = Finished(
        source=library_digest(),
        code=digest_of(library_modules()),
        torch=installed_version("torch"),
        config=config,
        files=files,
        restored=restored,
    )
    sweep(run.path, below=True)
    atomic.write(run.finished, to_json(finished, indent=1))


def load(run: Run, config: Config) -> Restored | None:
    """Return what a run gave, after naming it as asked; None unless settings and code are the same and every file is whole."""
    if not run.finished.exists():
        return None
    try:
        finished = from_json(Finished, own_files.read(run.finished), str(run.finished))
        names = ("compute", "name", "resume", "runs_folder")
        settings = replace(finished.config, **{name: getattr(config, name) for name in names})
        if settings != config or not _same_code(finished):
            return None
        for file in finished.files:
            verify(replace(file, path=_outside(run, file.path)))
        keep_name(run, config)
        return replace(finished.restored, path=_outside(run, finished.restored.path))
    except (ConfigError, DataError, OSError):
        return None  # the flow tells what is wrong, and makes it anew


def broken_files(run: Run) -> Iterator[tuple[Path, str]]:
    """Yield each file of a finished run that is not as it was at the end, and what is wrong with it."""
    if not run.finished.exists():
        return
    try:
        finished = from_json(Finished, own_files.read(run.finished), str(run.finished))
    except (ConfigError, DataError, OSError) as error:
        yield run.finished, str(error)
        return
    for file in finished.files:
        path = _outside(run, file.path)
        try:
            verify(replace(file, path=path))
        except (DataError, OSError) as error:
            yield Path(path), str(error)


def _same_code(finished: Finished) -> bool:
    if finished.torch not in (None, installed_version("torch")):
        return False
    return finished.source == library_digest() or finished.code == digest_of(library_modules())


def _inside(run: Run, path: str) -> str:
    return str(Path(path).relative_to(run.path))


def _outside(run: Run, path: str) -> str:
    if Path(path).is_absolute() or ".." in Path(path).parts or "\0" in path:
        raise DataError(f"{run.finished}: found the path {path}, expected one inside the run")
    return str(run.path / path)
