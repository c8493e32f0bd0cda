"""What a person wants to know of a run at a glance, from its small files alone: no torch, no checkpoint is read."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from unbroken.checkpoints.history import History, best_epoch
from unbroken.config import Config
from unbroken.errors import DataError
from unbroken.run import DESCRIPTION, SETTINGS, Run
from unbroken.run_name import read_name
from unbroken.stages.nearest_run import Settings, flat_settings
from unbroken.storage import own_files
from unbroken.storage.artifact import from_json
from unbroken.storage.journal import Event, Journal

State = Literal["training", "finished", "stopped", "new"]
SAVED = "checkpoint saved"
MONITORS = ("validation_loss", "test_loss")
"""What chooses the best epoch where the settings leave it open: the first that there is."""


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """A run at a glance.

    Attributes:
        state: `training` by a living process, `finished`, `stopped` before its end, or `new` and without a checkpoint.
        epochs: How many are done, of `asked`, which is None where that is left open.
        best: The monitored metric of its best epoch, or None before there is one.
        size: Bytes in its folder.
        changed: When it was last written to (UTC, ISO 8601).
    """

    key: str
    name: str | None
    folder: str
    state: State
    source: str | None
    label: str | None
    model: str | None
    epochs: int
    asked: int | None
    monitor: str | None
    best: float | None
    best_epoch: int | None
    size: int
    changed: str


@dataclass(frozen=True)
class RunFolder:
    """The folder of a run, read without a change in it."""

    path: Path

    @cached_property
    def run(self) -> Run:
        """The run by its folder; of its data only what was written down."""
        description = _read_json(self.path / DESCRIPTION)
        parent = description.get("warm_from_sha256")
        return Run(
            key=self.path.name, folder=str(self.path), fingerprint=str(description.get("data_sha256")), parent=parent
        )

    @cached_property
    def finished(self) -> dict[str, Any]:
        """What was written at its end, as JSON; nothing before."""
        return _read_json(self.run.finished)

    @cached_property
    def config(self) -> Settings:
        """The settings of the latest attempt in their groups; of a run of an earlier version what is known."""
        settings = _read_json(self.path / SETTINGS) or self.finished.get("config")
        return settings if isinstance(settings, dict) else _read_json(self.path / DESCRIPTION)

    @cached_property
    def settings(self) -> Settings:
        """The same by their dotted names."""
        return flat_settings(self.config)

    def configuration(self) -> Config:
        """Return the settings as they were given; raise DataError if they were not kept, or are not whole."""
        if "runs_folder" not in self.config:
            raise DataError(
                f"{self.path / SETTINGS}: found no settings, which earlier versions did not keep; "
                f"type the command that trained the run once more, which writes them"
            )
        return from_json(Config, json.dumps(self.config).encode(), str(self.path / SETTINGS))

    @cached_property
    def events(self) -> list[Event]:
        """What the journal says, the code left out; nothing where it is no file of ours."""
        try:
            return Journal(self.run.journal).events()
        except (DataError, OSError):
            return []

    @cached_property
    def history(self) -> History:
        """One entry an epoch that is done, by the journal; what an earlier checkpoint was taken up from is done anew."""
        history: History = []
        for event in self.events:
            if event["event"] == SAVED and event.get("epoch") and not event.get("step"):
                history[event["epoch"] - 1 :] = [_metrics(event)]
        return history

    @property
    def state(self) -> State:
        """How far it is."""
        if is_held(self.run.lock):
            return "training"
        if self._is_finished():
            return "finished"
        return "stopped" if any(self.run.checkpoints.glob("epoch-*.pth")) else "new"

    def _is_finished(self) -> bool:
        """Tell whether its newest checkpoint is the one it ended with, and it was not asked for more epochs since."""
        if not self.run.published.is_file():
            return False
        asked = self.settings.get("training.epochs")
        files, config = self.finished.get("files"), self.finished.get("config")
        if not (isinstance(files, list) and isinstance(config, dict) and self.saved):
            return not isinstance(asked, int) or len(self.history) >= asked
        paths = [str(file.get("path")) for file in files if isinstance(file, dict)]
        return flat_settings(config).get("training.epochs") == asked and any(
            path.endswith(self.saved) for path in paths
        )

    @property
    def factory(self) -> str | None:
        """What builds its model, by its description, which settings may leave to be chosen."""
        model = _read_json(self.path / DESCRIPTION).get("model")
        return model.get("factory") if isinstance(model, dict) else self.settings.get("model.factory")

    @property
    def saved(self) -> str | None:
        """The file name of its newest checkpoint, by the journal."""
        names = [event["checkpoint"] for event in self.events if event["event"] == SAVED and "checkpoint" in event]
        return names[-1] if names else None

    def monitor(self) -> str | None:
        """Return the name of the metric that chooses the best epoch; None before the first epoch."""
        names = self.history[-1] if self.history else {}
        return next((name for name in (self.settings.get("training.monitor"), *MONITORS) if name in names), None)

    def summary(self) -> RunSummary:
        """Return the run at a glance."""
        monitor, asked, label = self.monitor(), self.settings.get("training.epochs"), self.settings.get("data.label")
        best = best_epoch(self.history, monitor) if monitor else None
        size, changed = _size_and_time(self.path)
        return RunSummary(
            key=self.path.name,
            name=read_name(self.path),
            folder=str(self.path),
            state=self.state,
            source=self.settings.get("data.source"),
            label=label or _label(self.run),
            model=self.factory,
            epochs=len(self.history),
            asked=asked if isinstance(asked, int) else None,
            monitor=monitor,
            best=self.history[best - 1][monitor] if best and monitor else None,
            best_epoch=best,
            size=size,
            changed=changed.isoformat(timespec="seconds"),
        )


def is_held(lock: Path) -> bool:
    """Tell whether a living process holds a lock; looking takes less time than `storage.lock` waits for it."""
    return own_files.is_locked(lock) is True


def _metrics(event: Event) -> dict[str, float]:
    numbers = {name: value for name, value in event.items() if isinstance(value, int | float)}
    return {name: value for name, value in numbers.items() if name not in ("step", "seconds", "rows_per_second")}


def _label(run: Run) -> str | None:
    """Return the name of the column that stage 1 took for the label."""
    schema = _read_json(run.data / "dataset.json").get("schema")
    label = schema.get("label") if isinstance(schema, dict) else None
    return str(label["name"]) if isinstance(label, dict) and "name" in label else None


def _read_json(path: Path) -> dict[str, Any]:
    """Return the object in a file; an empty one where there is none, or it is not whole."""
    try:
        content = json.loads(own_files.read(path))
    except (OSError, ValueError, RecursionError, DataError):
        return {}
    return content if isinstance(content, dict) else {}


def _size_and_time(folder: Path) -> tuple[int, datetime]:
    """Return the bytes in a folder and when the newest file in it was written."""
    status = [folder.stat(), *_statuses(folder)]
    return sum(one.st_size for one in status[1:]), datetime.fromtimestamp(max(one.st_mtime for one in status), UTC)


def _statuses(folder: Path) -> Iterator[os.stat_result]:
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                yield os.lstat(f"{root}{os.sep}{name}")
            except FileNotFoundError:
                continue  # deleted meanwhile
