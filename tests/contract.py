"""The contract as one assertion: stopped anywhere and started again, a run ends with the same bytes."""

import io
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from torch import Tensor

from unbroken import pipeline
from unbroken.checkpoints.format import write_checkpoint
from unbroken.checkpoints.inspection import differences, read_newest
from unbroken.checkpoints.tree import Tree
from unbroken.config import Config
from unbroken.run import open_run
from unbroken.stages.results import Restored
from unbroken.training.hooks import TrainHook
from unbroken.training.state import TrainState


class Stopped(BaseException):
    """Ends a training as nothing in it expects."""


class StopAfter(TrainHook):
    """Ends a training right after so many optimizer steps of a process."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def on_step(self, state: TrainState, loss: Tensor) -> None:
        self.left -= 1
        if not self.left:
            raise Stopped


def run_stages(config: Config, hooks: Sequence[TrainHook] = ()) -> Restored:
    """Run the six stages as the flow does, without Prefect."""
    return pipeline.run_stages(config, open_run(config), hooks=hooks)


@contextmanager
def stopping_after(steps: int) -> Generator[StopAfter]:
    """Yield a hook that stops a training right after so many optimizer steps, and outlive the stop."""
    with suppress(Stopped):
        yield StopAfter(steps)


def assert_resumes_identically(
    config: Config, stops: Iterable[int], folder: Path, hooks: Callable[[], Sequence[TrainHook]] = tuple
) -> bytes:
    """Stop a run after each number of steps in turn, then let it end: its checkpoint has the bytes of a run never stopped."""
    undisturbed = run_stages(replace(config, runs_folder=str(folder / "undisturbed")), hooks())
    disturbed = replace(config, runs_folder=str(folder / "disturbed"))
    for steps in stops:
        with stopping_after(steps) as stop:
            run_stages(disturbed, [*hooks(), stop])
    resumed = run_stages(disturbed, hooks())
    assert Path(resumed.path) != Path(undisturbed.path)
    assert_equal_checkpoints(Path(resumed.path), Path(undisturbed.path))
    return Path(resumed.path).read_bytes()


def assert_equal_checkpoints(path: Path, expected: Path) -> None:
    """Demand the same bytes; where they differ, name what differs in them."""
    if path.read_bytes() != expected.read_bytes():
        pytest.fail(
            f"{path} and {expected} differ: {differences(read_newest(path), read_newest(expected)) or 'not in content'}"
        )


def encoded(tree: Tree) -> bytes:
    """Return the content of a checkpoint."""
    buffer = io.BytesIO()
    write_checkpoint(tree, buffer)
    return buffer.getvalue()


def write_rows(path: Path, label: str, rows: int = 240, seed: int = 0) -> str:
    """Write a small dataset with numbers, nulls and categories, and a label: binary, multiclass or regression."""
    draw = np.random.Generator(np.random.PCG64(seed))
    numbers = draw.standard_normal((rows, 3))
    colour = draw.choice(["red", "green", "blue"], rows)
    score = numbers @ [1.0, -2.0, 0.5] + (colour == "red") + 0.1 * draw.standard_normal(rows)
    labels = {
        "binary": score > 0,
        "multiclass": np.array(["low", "middle", "high"])[np.digitize(score, [-1.0, 1.0])],
        "regression": score * 10 + 100,
    }
    columns: dict[str, Any] = {f"number_{index}": numbers[:, index] for index in range(3)}
    columns["number_1"] = pa.array(columns["number_1"], mask=draw.random(rows) < 0.1)
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({**columns, "colour": colour, "label": labels[label]}), path)
    return str(path)
