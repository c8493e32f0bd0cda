"""Which run is this? The same settings and the same data are the same run, in the same folder.

So a retry, the same command after a crash, a longer training and a finished run are one mechanism.
"""

import hashlib
import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unbroken import atomic, sample, source
from unbroken.config import Config, identity
from unbroken.errors import ConfigError

SEMANTICS = 1
"""Raised whenever the same settings and data would give other weights."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run: its key, its folder and the fingerprint of its data."""

    key: str
    folder: str
    fingerprint: str

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
        return self.path / "checkpoints"

    @property
    def results(self) -> Path:
        """Folder of the stages' cached results."""
        return self.path / "results"

    @property
    def published(self) -> Path:
        """The checkpoint for others to read."""
        return self.path / "checkpoint.pth"

    @property
    def journal(self) -> Path:
        """What happened in each attempt."""
        return self.path / "journal.jsonl"


def open_run(config: Config) -> Run:
    """Find the run that a configuration means by reading its data once; nothing is written."""
    fingerprint = fingerprint_of(config.data.source)
    key = hashlib.sha256(_about(config, fingerprint)).hexdigest()[:16]
    return Run(key=key, folder=str(Path(config.runs_folder).absolute() / key), fingerprint=fingerprint)


def describe(run: Run, config: Config) -> None:
    """Write what a run's key is made of to `run.json`, for people and for comparing two runs."""
    path = run.path / "run.json"
    if not path.exists():
        atomic.write(path, _about(config, run.fingerprint))


def fingerprint_of(data_source: str) -> str:
    """Return the SHA-256 that names the content of a source."""
    if data_source == source.SAMPLE:
        return sample.fingerprint()
    files = source.find_files(data_source)
    return source.fingerprint(files, source.digests(files))


def _about(config: Config, fingerprint: str) -> bytes:
    about: dict[str, Any] = identity(config) | {"semantics": SEMANTICS, "data_sha256": fingerprint}
    if config.model.factory != "mlp":
        about["model_source"] = _module_digest(config.model.factory)
    return json.dumps(about, sort_keys=True, indent=1).encode()


def _module_digest(factory: str) -> str:
    module, _, _ = factory.partition(":")
    try:
        spec = importlib.util.find_spec(module)
    except ImportError:
        spec = None
    if spec is None or spec.origin is None:
        raise ConfigError(
            f"model.factory: found no module {module!r}; run from the folder that holds it, or install it"
        )
    return atomic.digest(Path(spec.origin))
