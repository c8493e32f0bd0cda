"""The classic job as one would write it without Unbroken: a plain script, and bare Prefect with the same six stages.

`python -m benchmarks.classic plain|prefect FOLDER` runs it over `FOLDER/rows.parquet`. The name of a stage instead runs that
stage alone.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

EPOCHS, BATCH = 5, 32


def load_data(folder: str) -> str:
    """Check that the rows are there."""
    path = Path(folder) / "rows.parquet"
    assert len(pd.read_parquet(path))
    return str(path)


def preprocess(source: str) -> str:
    """Scale the features to 0 .. 1."""
    rows = pd.read_parquet(source)
    features = rows.columns[:-1]
    low, high = rows[features].min(), rows[features].max()
    rows[features] = (rows[features] - low) / (high - low)
    path = Path(source).with_name("scaled.parquet")
    rows.to_parquet(path)
    return str(path)


def split(scaled: str) -> list[str]:
    """Write 80 % of the rows to one file and 20 % to another."""
    rows = pd.read_parquet(scaled)
    train = rows.sample(frac=0.8, random_state=0)
    paths = [Path(scaled).with_name(name) for name in ("train.parquet", "test.parquet")]
    train.to_parquet(paths[0])
    rows.drop(train.index).to_parquet(paths[1])
    return [str(path) for path in paths]


def train(paths: list[str]) -> str:
    """Train with Adam and write a checkpoint an epoch."""
    torch.manual_seed(0)
    model = _model()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    path = Path(paths[0]).with_name("last.pth")
    for epoch in range(EPOCHS):
        for numbers, labels in DataLoader(_dataset(paths[0]), batch_size=BATCH, shuffle=True):
            optimizer.zero_grad()
            functional.binary_cross_entropy_with_logits(model(numbers), labels).backward()
            optimizer.step()
        torch.save({"epoch": epoch, "model": model.state_dict(), "optimizer": optimizer.state_dict()}, path)
    return str(path)


def save_checkpoint(last: str) -> str:
    """Copy the last epoch's checkpoint to its final name."""
    path = Path(last).with_name("checkpoint.pth")
    path.write_bytes(Path(last).read_bytes())
    return str(path)


def load_checkpoint(published: str, paths: list[str]) -> float:
    """Restore the checkpoint and return the accuracy on the test rows."""
    model = _model()
    model.load_state_dict(torch.load(published, weights_only=True)["model"])
    numbers, labels = _dataset(paths[1]).tensors
    return float(((model(numbers) > 0) == labels.bool()).float().mean())


def _model() -> nn.Module:
    return nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 1), nn.Flatten(0))


def _dataset(path: str) -> TensorDataset:
    rows = torch.tensor(pd.read_parquet(path).to_numpy(), dtype=torch.float32)
    return TensorDataset(rows[:, :-1], rows[:, -1])


def job(folder: str, stage: Callable[[Callable[..., Any]], Callable[..., Any]] = lambda function: function) -> float:
    """Run the six stages in order."""
    scaled = stage(preprocess)(stage(load_data)(folder))
    paths = stage(split)(scaled)
    published = stage(save_checkpoint)(stage(train)(paths))
    return stage(load_checkpoint)(published, paths)


def stages_in(folder: Path) -> dict[str, Callable[[], object]]:
    """Return each stage over the files of a folder, for those who run each by itself."""
    parts = [str(folder / "train.parquet"), str(folder / "test.parquet")]
    return {
        "load_data": lambda: load_data(str(folder)),
        "preprocess": lambda: preprocess(str(folder / "rows.parquet")),
        "split": lambda: split(str(folder / "scaled.parquet")),
        "train": lambda: train(parts),
        "save_checkpoint": lambda: save_checkpoint(str(folder / "last.pth")),
        "load_checkpoint": lambda: load_checkpoint(str(folder / "checkpoint.pth"), parts),
    }


def main() -> None:
    """Run the job as the command line says."""
    kind, folder = sys.argv[1:]
    if one := stages_in(Path(folder)).get(kind):
        print(one())
        return
    if kind == "plain":
        print(job(folder))
        return
    from prefect import flow, task  # noqa: PLC0415 (the plain script does not pay for it)
    from prefect.cache_policies import INPUTS, TASK_SOURCE  # noqa: PLC0415

    cached = task(cache_policy=INPUTS + TASK_SOURCE, persist_result=True)

    @flow
    def classic() -> float:
        return job(folder, cached)

    print(classic())


if __name__ == "__main__":
    main()
