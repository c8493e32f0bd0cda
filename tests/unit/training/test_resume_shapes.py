"""The contract over odd shapes: where a batch lies in memory decides the bits of a product, and differs after a resume."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from tests.contract import assert_resumes_identically
from unbroken.config import CheckpointConfig, Config, DataConfig, ModelConfig, SplitConfig, TrainingConfig

ROWS = 240


def write_numbers(path: Path, features: int) -> str:
    draw = np.random.Generator(np.random.PCG64(features))
    numbers = draw.standard_normal((ROWS, features))
    columns = {f"number_{index}": numbers[:, index] for index in range(features)}
    pq.write_table(pa.table({**columns, "label": (numbers.sum(axis=1) > 0).astype(np.int8)}), path)
    return str(path)


SHAPES = given(
    features=st.integers(1, 30),
    hidden=st.lists(st.integers(1, 12), max_size=2),
    batch_size=st.integers(1, 70),
    threads=st.sampled_from([1, 2]),
    stop=st.integers(1, 7),
)


def assert_shape_resumes(features: int, hidden: list[int], batch_size: int, threads: int, stop: int) -> None:
    """Stop a run of a shape once, inside an epoch."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = Config(
            data=DataConfig(source=write_numbers(folder / "source.parquet", features)),
            split=SplitConfig(kind="stratified"),
            model=ModelConfig(options={"hidden": hidden}),
            training=TrainingConfig(epochs=2, batch_size=batch_size, threads=threads),
            checkpoint=CheckpointConfig(every_steps=1, every_seconds=None),
        )
        assert_resumes_identically(config, [min(stop, 2 * -(-192 // batch_size) - 1)], folder)


@settings(phases=[Phase.explicit], deadline=None)
@SHAPES
@example(features=1, hidden=[12, 5], batch_size=17, threads=2, stop=6)
@example(features=30, hidden=[7, 1], batch_size=50, threads=1, stop=5)
@example(features=9, hidden=[], batch_size=33, threads=1, stop=3)
@example(features=13, hidden=[2], batch_size=33, threads=2, stop=3)
@example(features=27, hidden=[3], batch_size=33, threads=1, stop=3)
def test_a_run_of_an_odd_shape_stopped_inside_an_epoch_ends_with_the_same_bytes(**shape: Any):
    assert_shape_resumes(**shape)


@pytest.mark.slow
@settings(max_examples=50, deadline=None, derandomize=True)
@SHAPES
def test_a_run_of_any_shape_stopped_inside_an_epoch_ends_with_the_same_bytes(**shape: Any):
    assert_shape_resumes(**shape)


def write_large(path: Path) -> str:
    draw = np.random.Generator(np.random.PCG64(0))
    numbers = draw.standard_normal((40_000, 9)).astype(np.float32)
    columns = {f"number_{index}": numbers[:, index] for index in range(9)}
    pq.write_table(pa.table({**columns, "label": numbers.sum(axis=1)}), path)
    return str(path)


def test_a_streamed_run_of_an_odd_shape_stopped_inside_an_epoch_ends_with_the_same_bytes(tmp_path: Path):
    config = Config(
        data=DataConfig(source=write_large(tmp_path / "source.parquet")),
        model=ModelConfig(options={"hidden": [3]}),
        training=TrainingConfig(epochs=1, batch_size=333, shuffle_rows=4096, memory_limit=1),
        checkpoint=CheckpointConfig(every_steps=1, every_seconds=None),
    )
    assert_resumes_identically(config, [3, 20, 31], tmp_path)
