"""The files that a task makes, and those it makes them from, as Prefect's assets: the lineage in its UI."""

import re
from pathlib import Path

from prefect.tasks import MaterializingTask

from unbroken.errors.escaping import escape_controls

LONGEST_KEY = 512

FORBIDDEN = re.compile(r"""[\s\0#?&%"'<>\[\]{}|\\^`]""")
"""What Prefect does not take in the key of an asset."""

PLACEHOLDER = "unbroken://to-be-named"
"""The asset of a task until `declare_assets` names it."""


def asset_key(location: str) -> str:
    """Return the key of the asset at a path or URL."""
    url = location if "://" in location else f"file://{Path(location).absolute()}"
    return FORBIDDEN.sub("_", escape_controls(url))[:LONGEST_KEY]


def declare_assets(task: MaterializingTask, target: str, *sources: str) -> MaterializingTask:
    """Return the task as the maker of the file `target` from the files `sources`; all are paths or URLs, sources may be empty."""
    return task.with_options(assets=[asset_key(target)], asset_deps=[asset_key(source) for source in sources if source])
