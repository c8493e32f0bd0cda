"""How much memory the rows may take, and how much they would."""

import os
from pathlib import Path

from unbroken.config.metrics import metrics_of
from unbroken.features.spec import FeatureSpec

CONTROL_GROUP = Path("/sys/fs/cgroup/memory.max")


def memory_limit(mebibytes: int | None) -> int:
    """Return a configured limit in bytes; half of what this machine, or the container it is, has, if none is configured."""
    if mebibytes is not None:
        return mebibytes << 20
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    container = CONTROL_GROUP.read_text().strip() if CONTROL_GROUP.is_file() else "max"
    return (physical if container == "max" else min(physical, int(container))) // 2


def bytes_in_memory(features: FeatureSpec) -> int:
    """Return the bytes of a row as float32 numbers, int64 codes and the label."""
    return 4 * len(features.numbers) + 8 * len(features.categories) + (8 if features.task == "multiclass" else 4)


def bytes_on_disk(features: FeatureSpec) -> int:
    """Return the bytes of a row in a row file: four for each column."""
    return 4 * len(features.columns)


def bytes_to_score(features: FeatureSpec) -> int:
    """Return the bytes of a row that metrics of all rows keep: a probability a class, and as much to sort them."""
    kept = any(metric.needs_all_scores for metric in metrics_of(features.task))
    return 8 * features.outputs + 8 if kept else 0
