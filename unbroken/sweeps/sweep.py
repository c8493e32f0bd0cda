"""Which sweep is this? The same space, settings and data are the same sweep, in the same folder."""

import hashlib
import importlib.util
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from unbroken.config import Config, TrackingConfig
from unbroken.errors import ConfigError
from unbroken.run import Run, description_of, open_run, run_of
from unbroken.run_name import named, require_free
from unbroken.storage import atomic
from unbroken.sweeps.journal import Record, SweepJournal
from unbroken.sweeps.settings import SweepConfig
from unbroken.sweeps.space import Space, apply

SEMANTICS = 1
"""Raised whenever the same settings and data would give another study."""
DESCRIPTION = "description.json"
INSTALL = "pip install 'unbroken[sweep]'"


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """A sweep: its settings, space, key and folder, the fingerprint of its data, and the SHA-256 of what trials start warm from."""

    config: SweepConfig
    space: Space
    key: str
    folder: str
    fingerprint: str
    parent: str | None = None

    @classmethod
    def open(cls, config: SweepConfig) -> "Sweep":
        """Find the sweep that settings mean by reading its data once; nothing is written.

        Raises:
            ConfigError: A setting, the space, the sampler or the pruner cannot be used.
            DataError: The data cannot be read.
        """
        config.require_complete()
        if importlib.util.find_spec("optuna") is None:
            raise ConfigError(f"sweep: Optuna is not installed, which draws the trials: {INSTALL}")
        space = Space.read(Path(config.space), config.train)
        run = open_run(replace(config.train, name=None))
        described = _description(config, space, description_of(run, config.train))
        key = hashlib.sha256(_encoded(described)).hexdigest()[:16]
        folder = Path(config.folder).absolute() / key
        sweep = cls(
            config=config, space=space, key=key, folder=str(folder), fingerprint=run.fingerprint, parent=run.parent
        )
        sweep._require_free_name()
        return sweep

    @property
    def path(self) -> Path:
        """The sweep's private folder."""
        return Path(self.folder)

    @property
    def journal(self) -> SweepJournal:
        """What was drawn, and what came of it."""
        return SweepJournal(self.path / "journal.jsonl")

    @property
    def runs(self) -> Path:
        """The folder of the trials' runs."""
        return self.path / "runs"

    @property
    def result(self) -> Path:
        """What came of the sweep, as JSON."""
        return self.path / "sweep.json"

    @property
    def page(self) -> Path:
        """The same with charts, for a person."""
        return self.path / "sweep.html"

    @property
    def trials(self) -> int:
        """How many trials there are in all."""
        return int(min(self.config.trials, self.space.size))

    @property
    def name(self) -> str:
        """What the best run is called."""
        return self.config.train.name or f"sweep-{self.key[:8]}"

    def trial_config(self, settings: dict[str, Any]) -> Config:
        """Return the settings of a trial's run; raise ConfigError if they do not fit each other."""
        train = self.config.train
        checkpoint = replace(
            train.checkpoint, wait=True
        )  # for what a killed sweep may have left behind to save and end
        config = replace(train, runs_folder=str(self.runs), name=None, tracking=TrackingConfig(), checkpoint=checkpoint)
        return apply(config, settings)

    def best_config(self, settings: dict[str, Any]) -> Config:
        """Return the settings of the run that a trial is published as."""
        return apply(replace(self.config.train, name=self.name), settings)

    def run_of(self, config: Config) -> Run:
        """Return the run of settings over the sweep's data."""
        return run_of(config, self.fingerprint, self.parent)

    def key_of(self, settings: dict[str, Any]) -> str:
        """Return the key of a trial's run; where its settings do not fit each other, these."""
        try:
            return self.run_of(self.trial_config(settings)).key
        except ConfigError:
            return json.dumps(settings, sort_keys=True)

    def describe(self) -> None:
        """Write what the key is made of, for people."""
        path = self.path / DESCRIPTION
        if not path.exists():
            config = self.config
            run = self.run_of(config.train)
            atomic.write(path, _encoded(_description(config, self.space, description_of(run, config.train))))

    def _require_free_name(self) -> None:
        runs_folder = Path(self.config.train.runs_folder).absolute()
        others = named(runs_folder, self.name)
        own = {publication.run for publication in self._record().publications} if others else set()
        for other in others:
            if other.name not in own:
                require_free(self.name, runs_folder / self.key)

    def _record(self) -> Record:
        return self.journal.read()


def _description(config: SweepConfig, space: Space, run: dict[str, Any]) -> dict[str, Any]:
    """Return what decides the study: not how many trials there are, nor by how many processes."""
    names = ("seed", "sampler", "sampler_options", "pruner", "pruner_options", "parallel")
    return {
        "semantics": SEMANTICS,
        "space": {name: asdict(dimension) for name, dimension in space.dimensions.items()},
        "sweep": {name: getattr(config, name) for name in names},
        "epochs": config.train.chosen.epochs,
        "run": run,
    }


def _encoded(description: dict[str, Any]) -> bytes:
    return json.dumps(description, sort_keys=True, indent=1).encode()
