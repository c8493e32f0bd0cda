"""Which run is this? The same settings and the same data are the same run, in the same folder.

So a retry, the same command after a crash, a longer training and a finished run are one mechanism.
"""

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from filelock import Timeout

from unbroken.code.record import digest_of, model_modules
from unbroken.config import Config
from unbroken.config.config import identity
from unbroken.config.data import SAMPLE, require_source
from unbroken.config.model import PRESETS
from unbroken.data import sample
from unbroken.data.sources import digest_files, find_files, fingerprint_files
from unbroken.errors import ChangedSourceError, ConfigError, DataError
from unbroken.run_name import give_name, require_free
from unbroken.storage import atomic, own_files
from unbroken.storage.artifact import to_json

log = logging.getLogger(__name__)
Result = TypeVar("Result")

ATTEMPTS = 3
SEMANTICS = 1
"""Raised whenever the same settings and data would give other weights."""
PUBLISHED, CHECKPOINTS = "checkpoint.pth", "checkpoints"
FOLDERS = (CHECKPOINTS, "data", "manifests", "results")
"""What a run writes into, beside its own folder."""
DESCRIPTION = "run.json"
"""The file in a run's folder that says what its key is made of."""
SETTINGS = "settings.json"


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run: its key, its folder, the fingerprint of its data, and the SHA-256 of the checkpoint it starts warm from."""

    key: str
    folder: str
    fingerprint: str
    parent: str | None = None

    @property
    def path(self) -> Path:
        """The run's private folder."""
        return Path(self.folder)

    @property
    def data(self) -> Path:
        """Folder of the intermediate datasets."""
        return self.path / "data"

    @property
    def checkpoints(self) -> Path:
        """Folder of the epochs' checkpoints."""
        return self.path / CHECKPOINTS

    @property
    def results(self) -> Path:
        """Folder of the stages' cached results."""
        return self.path / "results"

    @property
    def published(self) -> Path:
        """The checkpoint for others to read."""
        return self.path / PUBLISHED

    @property
    def manifest(self) -> Path:
        """What the published checkpoint holds, as JSON."""
        return self.path / "checkpoint.json"

    @property
    def code(self) -> Path:
        """Which code has trained the run."""
        return self.path / "code.json"

    @property
    def settings(self) -> Path:
        """All settings of its latest attempt."""
        return self.path / SETTINGS

    @property
    def finished(self) -> Path:
        """What a finished run is recognised by."""
        return self.path / "finished.json"

    @property
    def page(self) -> Path:
        """The report of a finished run, for a person."""
        return self.path / "report.html"

    @property
    def lock(self) -> Path:
        """Held by the process that trains the run."""
        return self.path / "lock"

    @property
    def journal(self) -> Path:
        """What happened in each attempt."""
        return self.path / "journal.jsonl"


def begin(config: Config, run: Run, load: Callable[[Run], Result]) -> tuple[Run, Result]:
    """Load the data of a run; where the source has been replaced by now, those of the run that means what is there.

    Args:
        config: The settings of the run.
        run: As it was opened.
        load: Loads the data of a run; raises ChangedSourceError where they are not those that name it.

    Returns:
        The run whose data were loaded, and what `load` gave.

    Raises:
        ChangedSourceError: The source changed each time.
    """
    for _ in range(ATTEMPTS):
        try:
            return run, load(run)
        except ChangedSourceError as error:
            changed, run = error, open_run(config)
            log.warning("%s: replaced before it was read; the run is now %s", config.data.source, run.folder)
    raise changed


def open_run(config: Config) -> Run:
    """Find the run that a configuration means by reading its data once; nothing is written.

    Raises:
        ConfigError: No source is named, no run could be kept in `runs_folder`, or what a run starts from or is built
            by is not there.
        DataError: The data cannot be read, or a folder of the run is a link to elsewhere.
    """
    require_source("data.source", config.data.source)
    folder = Path(config.runs_folder).absolute()
    _require_writable(folder)
    run = run_of(config, fingerprint_of(config.data.source), _warm_start_digest(config))
    if config.name is not None:
        require_free(config.name, run.path)
    return run


def run_of(config: Config, fingerprint: str, parent: str | None) -> Run:
    """Return the run of a configuration whose data, and whose checkpoint to start warm from, are known by their digests.

    Raises:
        DataError: A folder of the run is a link to elsewhere.
    """
    folder = Path(config.runs_folder).absolute()
    key = hashlib.sha256(_encoded(_description(config, fingerprint, parent))).hexdigest()[:16]
    own_files.require_no_link(*(folder / key / name for name in FOLDERS))
    return Run(key=key, folder=str(folder / key), fingerprint=fingerprint, parent=parent)


@contextmanager
def delete_on_bad_input(run: Run) -> Generator[None]:
    """Delete the run's folder if bad input ends it before its first checkpoint: all in it can be made again.

    A run that another process is training is left alone.
    """
    try:
        yield
    except (ConfigError, DataError):
        if run.path.is_dir() and not has_checkpoint(run.path):
            with suppress(Timeout, DataError), own_files.lock(run.lock).acquire(timeout=0):
                shutil.rmtree(run.path, ignore_errors=True)
        raise


def has_checkpoint(folder: Path) -> bool:
    """Tell whether the folder of a run holds anything that was trained."""
    return (folder / PUBLISHED).exists() or any((folder / CHECKPOINTS).glob("*"))


def describe(run: Run, config: Config) -> None:
    """Write what a run's key is made of to `run.json`, for people and for comparing two runs."""
    path = run.path / DESCRIPTION
    if path.is_symlink() or not path.exists():
        atomic.write(path, _encoded(description_of(run, config)))


def keep_settings(run: Run, config: Config) -> None:
    """Write down all settings of an attempt that fit, and the run's name."""
    settings = to_json(config, indent=1)
    if not (run.settings.is_file() and own_files.read(run.settings) == settings):
        atomic.write(run.settings, settings)
    keep_name(run, config)


def keep_name(run: Run, config: Config) -> None:
    """Give a run the name in its settings, if there is one; raise ConfigError if another run has it."""
    if config.name is not None:
        give_name(run.path, config.name)


def description_of(run: Run, config: Config) -> dict[str, Any]:
    """Return what a run's key is made of: the settings that decide the weights, and the digests of what it starts from."""
    return _description(config, run.fingerprint, run.parent)


def fingerprint_of(source: str) -> str:
    """Return the SHA-256 that names the content of a source."""
    if source == SAMPLE:
        return sample.fingerprint()
    files = find_files(source)
    return fingerprint_files(files, digest_files(files))


def _require_writable(folder: Path) -> None:
    parent = next(path for path in (folder, *folder.parents) if _exists(path))
    if not parent.is_dir():
        raise ConfigError(f"runs_folder: found {folder}, but {parent} is a file; expected a folder or a new name")
    if not os.access(parent, os.W_OK | os.X_OK, effective_ids=True):
        raise ConfigError(f"runs_folder: found {folder}, but {parent} is not writable; give another folder")


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except PermissionError:
        return False  # below a folder that is closed to us, which is found next


def _warm_start_digest(config: Config) -> str | None:
    path = config.start.warm_from
    if path is None:
        return None
    if not Path(path).is_file():
        raise ConfigError(f"start.warm_from: found no file {path}, expected a published checkpoint.pth")
    return atomic.digest(Path(path))


def _description(config: Config, fingerprint: str, parent: str | None) -> dict[str, Any]:
    description: dict[str, Any] = identity(config) | {"semantics": SEMANTICS, "data_sha256": fingerprint}
    if parent is not None:
        description["warm_from_sha256"] = parent
    if config.chosen.model.factory not in PRESETS:
        description["model_source"] = digest_of(model_modules(config.chosen.model.factory))
    return description


def _encoded(description: dict[str, Any]) -> bytes:
    return json.dumps(description, sort_keys=True, indent=1).encode()
