"""Scoring a file that is larger than the memory there is."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.contract import run_stages
from unbroken.config import Config, DataConfig, ModelConfig, TrainingConfig
from unbroken.serving.prediction import load_predictor

LIMITED = """
import resource, sys
from pathlib import Path
import pyarrow.parquet
from unbroken.serving.prediction import load_predictor
from unbroken.serving.scoring import predict_files
model_path, small, big, target, megabytes, way = sys.argv[1:]
model = load_predictor(model_path)
predict_files(model, small, Path(target))  # starts every thread, so that their stacks are not counted
used = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmData")) * 1024
limit = used + int(megabytes) * 2**20
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
if way == "stream":
    print(predict_files(model, big, Path(target)).rows)
else:
    pyarrow.parquet.read_table(big)
"""


@pytest.mark.slow
def test_a_file_larger_than_the_memory_limit_is_scored_within_it(tmp_path: Path):
    rows, columns, limit = 2_400_000, 16, 256
    draw = np.random.Generator(np.random.PCG64(0))
    small = {f"number_{place}": draw.standard_normal(500) for place in range(columns)}
    pq.write_table(pa.table({**small, "label": small["number_0"] > 0}), tmp_path / "train.parquet")
    config = Config(
        data=DataConfig(source=str(tmp_path / "train.parquet")),
        model=ModelConfig(options={"hidden": [4]}),
        training=TrainingConfig(epochs=1),
        runs_folder=str(tmp_path / "runs"),
    )
    restored = run_stages(config)
    big = tmp_path / "big.parquet"
    with pq.ParquetWriter(big, pa.schema({name: pa.float64() for name in small})) as writer:
        for _ in range(rows // 100_000):
            writer.write_table(pa.table({name: draw.standard_normal(100_000) for name in small}))
    assert big.stat().st_size > limit * 2**20

    def score(way: str) -> subprocess.CompletedProcess[str]:
        arguments = [restored.path, config.data.source, str(big), str(tmp_path / f"{way}.parquet"), str(limit), way]
        # The other memory pools take more than they are asked for.
        environment = os.environ | {"ARROW_DEFAULT_MEMORY_POOL": "system"}
        return subprocess.run(
            [sys.executable, "-c", LIMITED, *arguments], capture_output=True, text=True, env=environment, check=False
        )

    streamed, whole = score("stream"), score("whole")

    assert streamed.returncode == 0, streamed.stderr[-2000:]
    assert streamed.stdout.strip() == str(rows)
    assert whole.returncode != 0, "the limit would let the whole file in, so it proves nothing"
    assert "malloc of size" in whole.stderr or "MemoryError" in whole.stderr, whole.stderr[-2000:]
    first = pq.ParquetFile(big).read_row_group(0)
    expected = load_predictor(restored.path).predict(first)
    found = next(pq.ParquetFile(tmp_path / "stream.parquet").iter_batches(len(first)))
    assert (
        found.column("probability").to_numpy().tobytes()
        == expected["probability"].to_numpy().tobytes()[: 4 * len(found)]
    )
