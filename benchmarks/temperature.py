"""Whether a temperature makes probabilities better: `python -m benchmarks.temperature --tables 10`.

Each table of classes is learnt with the default settings. One number, by which the logits are divided, is fitted to the rows that
validate (temperature scaling, Guo, Pleiss, Sun and Weinberger, 2017); the log loss of the rows that test is compared with that of
the logits as they are.
"""

import argparse
import math
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor
from torch.nn import functional

from benchmarks.tables import TABLES, Table
from unbroken import CheckpointConfig, Config, DataConfig, TrainedModel, train
from unbroken.batches.rows import Rows
from unbroken.charts.rows import HeldOutRows
from unbroken.models.forward import outputs_of

RANGE = (-3.0, 3.0)
"""Of the temperature's logarithm."""


def log_loss(logits: Tensor, labels: Tensor, temperature: float) -> float:
    """Return the mean cross-entropy of logits [rows, outputs] that are divided by a temperature."""
    scaled = logits.double() / temperature
    if logits.shape[1] == 1:
        return float(functional.binary_cross_entropy_with_logits(scaled[:, 0], labels.double()))
    return float(functional.cross_entropy(scaled, labels.long()))


def logits_of(model: TrainedModel, part: str) -> tuple[Tensor, Tensor]:
    """Return the logits and labels of the rows that validate or test."""
    encoder = model.predictor.encoder
    rows = HeldOutRows.read(model.path.parent / "data" / f"{part}.parquet", encoder)
    labels = torch.from_numpy(rows.labels)
    inputs = Rows(torch.from_numpy(rows.numbers), torch.from_numpy(rows.codes), labels.float())
    with torch.no_grad():
        return outputs_of(model.predictor.model, inputs, encoder.features.task)[0], labels


def measure(table: Table, cap: int) -> tuple[float, float]:
    """Return the temperature of a table, and the log loss with it by that without it."""
    with TemporaryDirectory() as folder:
        source = Path(folder) / "rows.parquet"
        pq.write_table(pa.Table.from_pandas(table.read(cap), preserve_index=False), source)
        config = Config(
            data=DataConfig(source=str(source), label="label"),
            checkpoint=CheckpointConfig(baseline="constant", every_seconds=None),
            runs_folder=str(Path(folder) / "runs"),
        )
        model = train(config)
        logits, labels = logits_of(model, "validation")
        fitted = minimize_scalar(lambda power: log_loss(logits, labels, math.exp(power)), bounds=RANGE)
        logits, labels = logits_of(model, "test")
        temperature = math.exp(fitted.x)
        return temperature, log_loss(logits, labels, temperature) / log_loss(logits, labels, 1.0)


def main() -> None:
    """Measure some tables and print the geometric mean."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=int, default=10, help="how many tables")
    parser.add_argument("--cap", type=int, default=4000, help="most rows of a table")
    arguments = parser.parse_args()
    tables = [table for table in TABLES if table.half == "tuning" and table.task != "regression"]
    ratios = []
    for table in sorted(tables, key=lambda table: table.digest)[: arguments.tables]:
        temperature, ratio = measure(table, arguments.cap)
        ratios.append(ratio)
        print(f"{table.name:28} temperature {temperature:.3f}  log loss {ratio:.4f} of that without", flush=True)
    print(
        f"geometric mean {np.exp(np.log(ratios).mean()):.4f}, better on {sum(ratio < 1 for ratio in ratios)} of {len(ratios)}"
    )


if __name__ == "__main__":
    main()
