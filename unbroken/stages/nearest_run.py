"""Which earlier run is near to one that starts from scratch, and what differs: often one setting was changed by mistake."""

import dataclasses
import json
import logging
import os
import stat
from functools import cache
from pathlib import Path
from typing import Any

from unbroken.config import Config
from unbroken.run import DESCRIPTION, Run, description_of, has_checkpoint

log = logging.getLogger(__name__)

MOST_READ = 200
"""Runs that are looked at, the newest first."""
LARGEST_DESCRIPTION = 1 << 20
SHOWN_DIFFERENCES, LONGEST_VALUE = 5, 60
NAMES = {"model_source": "the source of model.factory", "warm_from_sha256": "the content of start.warm_from"}
NOT_SET = "none"
Settings = dict[str, Any]


def tell_nearest_run(run: Run, config: Config) -> None:
    """Log one line if a run is new, and another one in its folder has the same data and some of its settings."""
    if has_checkpoint(run.path):
        return
    current = flat_settings(description_of(run, config))
    previous = [(folder, settings) for folder in _newest_folders(run) if (settings := _read(folder / DESCRIPTION))]
    same_data = [pair for pair in previous if pair[1].get("data_sha256") == run.fingerprint]
    for folder, settings in sorted(same_data, key=lambda pair: len(_differences(pair[1], current))):
        if has_checkpoint(folder):
            log.info("from scratch, as a run of its own: %s differs by %s", folder, _words(settings, current))
            return


def _newest_folders(run: Run) -> list[Path]:
    if not run.path.parent.is_dir():
        return []
    with os.scandir(run.path.parent) as entries:
        folders = [entry for entry in entries if entry.name != run.key and entry.is_dir(follow_symlinks=False)]
        newest = sorted(folders, key=lambda entry: entry.stat(follow_symlinks=False).st_mtime_ns, reverse=True)
    return [Path(entry.path) for entry in newest[:MOST_READ]]


def _read(path: Path) -> Settings:
    """Return the settings in a run's description; none where it is not whole, or no file of ours."""
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST_DESCRIPTION:
            return {}
        description = json.loads(path.read_bytes())
        return flat_settings(description) if isinstance(description, dict) else {}
    except (OSError, ValueError, RecursionError):
        return {}


def flat_settings(settings: Settings, prefix: str = "") -> Settings:
    """Return nested settings by their dotted names, as JSON has them."""
    leaves: Settings = {}
    for name, value in settings.items():
        leaves |= flat_settings(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return json.loads(json.dumps(leaves)) if not prefix else leaves


def _differences(previous: Settings, current: Settings) -> list[str]:
    """Return the names of the settings that differ; one left out has its default."""
    defaults = default_settings()
    return [
        name
        for name in dict.fromkeys([*current, *previous])
        if previous.get(name, defaults.get(name)) != current.get(name, defaults.get(name))
    ]


@cache
def default_settings() -> Settings:
    """Return the defaults of all settings of a run by their dotted names."""
    return flat_settings(dataclasses.asdict(Config()))


def _words(previous: Settings, current: Settings) -> str:
    names, defaults = _differences(previous, current), default_settings()
    pairs = [(name, *(_value(name, settings, defaults) for settings in (previous, current))) for name in names]
    words = [f"{NAMES.get(name, name)}: {left} -> {right}" for name, left, right in pairs[:SHOWN_DIFFERENCES]]
    more = [f"{len(pairs) - SHOWN_DIFFERENCES} more"] if len(pairs) > SHOWN_DIFFERENCES else []
    return ", ".join(words + more) or "nothing that is set"


def _value(name: str, settings: Settings, defaults: Settings) -> str:
    value = settings.get(name, defaults.get(name))
    text = NOT_SET if value is None else str(value)[:8] if name in NAMES else json.dumps(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 3]}..."
