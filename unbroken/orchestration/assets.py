"""Lineage in Prefect's terms: the files that a task makes and those it makes them from, as assets."""

import re
from pathlib import Path

from prefect.tasks import MaterializingTask

LONGEST = 512

FORBIDDEN = re.compile(r"""[\s\0#?&%"'<>\[\]{}|\\^`]""")
"""What Prefect does not take in the key of an asset."""

TO_BE_NAMED = "unbroken://to-be-named"


def key_of(place: str) -> str:
    """Return the key of the asset at a path or URL."""
    url = place if "://" in place else f"file://{Path(place).absolute()}"
    return FORBIDDEN.sub("_", url)[:LONGEST]


def with_assets(task: MaterializingTask, made: str, *sources: str) -> MaterializingTask:
    """Return the task as the maker of a file from others."""
    return task.with_options(assets=[key_of(made)], asset_deps=[key_of(source) for source in sources])
