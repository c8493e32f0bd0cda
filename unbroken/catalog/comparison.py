"""Runs side by side: the settings that differ, and how far each came by its metrics."""

from collections.abc import Sequence
from dataclasses import dataclass

from unbroken.catalog.summary import RunFolder
from unbroken.checkpoints.history import best_epoch
from unbroken.run_name import read_name
from unbroken.stages.nearest_run import Settings, default_settings

PLACES = ("name", "runs_folder")
Row = tuple[object, ...]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Runs side by side; each row has one value a run.

    Attributes:
        runs: Their names or keys.
        settings: By name, the settings that differ.
        metrics: By name, each metric in the last epoch.
        best: By name, the metric that chooses the best epoch: its value there.
        curves: By name, that metric over the epochs.
    """

    runs: tuple[str, ...]
    settings: dict[str, Row]
    epochs: Row
    metrics: dict[str, Row]
    best: dict[str, Row]
    curves: dict[str, tuple[list[float], ...]]


def compare(folders: Sequence[RunFolder]) -> Comparison:
    """Compare runs by what they wrote down of themselves."""
    histories = [folder.history for folder in folders]
    last = [history[-1] if history else {} for history in histories]
    names = [name for name in dict.fromkeys(name for entry in last for name in entry) if name != "epoch"]
    monitors = list(dict.fromkeys(name for folder in folders if (name := folder.monitor())))
    return Comparison(
        runs=tuple(read_name(folder.path) or folder.path.name for folder in folders),
        settings=_differing([folder.settings for folder in folders]),
        epochs=tuple(map(len, histories)),
        metrics={name: tuple(entry.get(name) for entry in last) for name in names},
        best={name: tuple(_best(history, name) for history in histories) for name in monitors},
        curves={
            name: tuple([entry[name] for entry in history if name in entry] for history in histories)
            for name in monitors
        },
    )


def _differing(settings: Sequence[Settings]) -> dict[str, Row]:
    defaults = default_settings()
    names = dict.fromkeys(name for one in settings for name in one if name not in PLACES)
    rows = {name: tuple(one.get(name, defaults.get(name)) for one in settings) for name in names}
    return {name: row for name, row in rows.items() if any(value != row[0] for value in row)}


def _best(history: list[dict[str, float]], monitor: str) -> float | None:
    known = [entry for entry in history if monitor in entry]
    best = best_epoch(known, monitor) if known else None
    return known[best - 1][monitor] if best else None
