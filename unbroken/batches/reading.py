"""Where the rows of each part are kept: in memory if all parts fit, else on disk."""

from collections.abc import Callable
from pathlib import Path

import torch

from unbroken.batches.memory import bytes_in_memory, bytes_on_disk, bytes_to_score, memory_limit
from unbroken.batches.row_file import RowFile, open_row_file
from unbroken.batches.rows import Rows, read_rows
from unbroken.config import TrainingConfig
from unbroken.data.dataset import Dataset, SplitDatasets
from unbroken.errors import ConfigError
from unbroken.features.spec import FeatureSpec

Reader = Callable[[str, Dataset], Rows | RowFile]
"""Reads a part by its name, such as `train`."""


def reader_of(
    config: TrainingConfig,
    splits: SplitDatasets,
    features: FeatureSpec,
    folder: Path,
    device: torch.device,
    sharing: int = 1,
) -> Reader:
    """Return how to read the parts of the data: into memory if all of them fit, else from disk as they are needed.

    Args:
        config: Its `memory_limit` and `shuffle_rows`.
        splits: All parts, whichever of them is read.
        features: Which columns are read.
        folder: Where files of rows are made if they are needed.
        device: Where the rows are put.
        sharing: Processes that share the memory of this machine, where no limit is set for each.

    Raises:
        ConfigError: Not even two windows and what a metric needs fit.
    """
    limit = memory_limit(config.memory_limit) // (sharing if config.memory_limit is None else 1)
    parts = [part for part in (splits.train, splits.validation, splits.test) if part]
    if sum(part.rows for part in parts) * bytes_in_memory(features) <= limit:
        return lambda _, dataset: read_rows(dataset, features).to(device)
    scored = max(part.rows for part in parts[1:]) * bytes_to_score(features)
    needed = 2 * min(config.shuffle_rows, splits.train.rows) * bytes_on_disk(features) + scored
    if needed > limit:
        raise ConfigError(
            f"training.memory_limit: found {limit >> 20} MiB, expected at least {-(-needed >> 20)}: two windows of "
            f"training.shuffle_rows {config.shuffle_rows} and the scores of a held-out part. Raise it, or lower shuffle_rows"
        )
    return lambda name, dataset: open_row_file(folder / f"{name}.rows", dataset, features, device)
