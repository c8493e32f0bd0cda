"""Time and memory from 1 M to 100 M rows x 10 columns, and from 1,000 to 10,000 columns: `python -m benchmarks.growth [ROWS ...]`.

Each size runs in a process of its own: load, preprocess, split, and one streamed epoch of training. The largest takes
about 20 GB of disk in `runs/benchmarks`, which is free again afterwards. The plot is `results/growth.png`.
CPU seconds, since a disk shared with others hits a run of minutes harder than one of seconds.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.measure import RESULTS, Comparison, Target, save
from benchmarks.rows import copied, write_columns, write_rows
from unbroken.config import CheckpointConfig, Config, DataConfig, ModelConfig, SplitConfig, TrainingConfig

SIZES = (1_000_000, 10_000_000, 100_000_000)
TEST_ROWS = 100_000
"""The same for all sizes, since the AUROC keeps 16 bytes for each."""
MEMORY_LIMIT = 32
"""MiB: less than the smallest size takes, so that all are streamed."""

WIDTHS, WIDE_ROWS = (1_000, 10_000), 500

STAGES = ("load", "preprocess", "split", "train")
FOLDER = Path("runs/benchmarks")

Value = TypeVar("Value")
Timed = Callable[[str, Callable[[], Any]], Any]


def main(sizes: list[int]) -> None:
    """Measure each size, the smallest again at the end, write the results and the plot."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    found = [measured(FOLDER, rows) for rows in [*sizes, sizes[0]]]
    comparisons = [*compared(found), *columns()]
    for each in comparisons:
        print(each.describe())
    save("growth", comparisons)
    plot(found, RESULTS / "growth.png")


def compared(found: list[dict[str, float]]) -> list[Comparison]:
    """Compare the largest size with the others: what a million rows cost, and the largest memory."""
    *sizes, again = found
    smallest = {name: (sizes[0][name] + again[name]) / 2 for name in again}
    by_size = {f"{each['rows']:,.0f} rows": each for each in [*reversed(sizes[1:]), smallest]}
    ours, last = next(iter(by_size)), f"{smallest['rows']:,.0f} rows"

    def comparison(
        what: str, unit: str, value: Callable[[dict[str, float]], float], target: Target | None
    ) -> Comparison:
        values = {name: [value(each)] for name, each in by_size.items()}
        return Comparison(what=what, unit=unit, ours=ours, values=values, targets={last: target} if target else {})

    def a_million(*parts: str) -> Callable[[dict[str, float]], float]:
        return lambda each: sum(each[f"{part} CPU"] for part in parts) / each["rows"] * 1e6

    what = "load, preprocess, split, one epoch: a million rows"
    limit = "reading and writing alone (the limit): a million rows"
    return [
        comparison(what, "CPU s", a_million(*STAGES), Target(at_most=1.15)),
        comparison(limit, "CPU s", a_million("copy"), None),
        comparison("largest memory, streamed", "MiB", lambda each: each["train peak MiB"], Target(at_most=1.1)),
    ]


def columns() -> list[Comparison]:
    """Compare what a column costs in a wide table with what it costs in one of a tenth of its columns."""
    return [_columns(form) for form in ("parquet", "csv")]


def _columns(form: str) -> Comparison:
    values: dict[str, list[float]] = {}
    for width in reversed(WIDTHS):
        source = write_columns(FOLDER / f"{width}-columns.{form}", width)
        seconds = in_a_process(source, "--columns", WIDE_ROWS)
        values[f"{width:,} columns"] = [sum(seconds[f"{stage} CPU"] for stage in STAGES) / width * 1000]
    ours, last = values
    what = f"load, preprocess, split, one epoch of {WIDE_ROWS:,} rows ({form}): a column"
    return Comparison(what=what, unit="CPU ms", ours=ours, values=values, targets={last: Target(at_most=1.5)})


def measured(folder: Path, rows: int) -> dict[str, float]:
    """Run one size in a process of its own."""
    return in_a_process(write_rows(folder / f"{rows}.parquet", rows), "--one", rows)


def in_a_process(source: Path, option: str, rows: int) -> dict[str, float]:
    """Run the stages over a source in a process of its own, and delete both."""
    command = [sys.executable, "-m", "benchmarks.growth", option, str(source), str(rows)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    source.unlink()
    shutil.rmtree(source.with_suffix(".runs"), ignore_errors=True)
    if done.returncode:
        raise SystemExit(done.stderr[-4000:])
    print(done.stdout.splitlines()[-1], flush=True)
    return json.loads(done.stdout.splitlines()[-1])


def one(source: Path, rows: int) -> dict[str, float]:
    """Run the stages in this process: seconds and CPU seconds of each, and the largest memory of the process."""
    from unbroken.run import open_run  # noqa: PLC0415
    from unbroken.stages.load_data import load_data  # noqa: PLC0415
    from unbroken.stages.preprocess import preprocess  # noqa: PLC0415
    from unbroken.stages.split import split_dataset  # noqa: PLC0415
    from unbroken.stages.train import train  # noqa: PLC0415 (torch takes seconds to import)

    def stages(config: Config, timed: Timed) -> None:
        run = timed("fingerprint", lambda: open_run(config))
        dataset = timed("load", lambda: load_data(config.data, run))
        preprocessed = timed(
            "preprocess", lambda: preprocess(dataset, config.chosen.preprocess, config.chosen.split, run)
        )
        splits = timed("split", lambda: split_dataset(preprocessed, config.chosen.split, run))
        timed("train", lambda: train(config, splits, preprocessed.encoder, run))

    found: dict[str, float] = {"rows": rows}

    def timed(name: str, work: Callable[[], Value]) -> Value:
        os.sync()
        wall, cpu = time.perf_counter(), time.process_time()
        value = work()
        found[name], found[f"{name} CPU"] = time.perf_counter() - wall, time.process_time() - cpu
        found[f"{name} peak MiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return value

    config = configured(source, rows) if "--one" in sys.argv else wide(source)
    # What is imported and made ready only once does not grow.
    stages(replace(config, data=DataConfig(source="sample"), split=SplitConfig()), lambda _, work: work())
    stages(config, timed)
    if "--columns" in sys.argv:
        return found
    copy = source.with_suffix(".copy")  # what the machine itself makes dearer as files outgrow its memory
    timed("copy", lambda: copied(source, copy))
    copy.unlink()
    return found


def configured(source: Path, rows: int) -> Config:
    """Return one epoch of a small network, streamed."""
    return Config(
        data=DataConfig(source=str(source)),
        split=SplitConfig(test_fraction=TEST_ROWS / rows, validation_fraction=0.0),
        model=ModelConfig(options={"hidden": [32]}),
        training=TrainingConfig(epochs=1, batch_size=512, shuffle_rows=1 << 18, memory_limit=MEMORY_LIMIT),
        checkpoint=CheckpointConfig(every_seconds=None),
        runs_folder=str(source.with_suffix(".runs")),
    )


def wide(source: Path) -> Config:
    """Return one epoch of a small network over many columns, in memory."""
    return Config(
        data=DataConfig(source=str(source)),
        split=SplitConfig(validation_fraction=0.0),
        model=ModelConfig(options={"hidden": [8]}),
        training=TrainingConfig(epochs=1, batch_size=256),
        checkpoint=CheckpointConfig(every_seconds=None),
        runs_folder=str(source.with_suffix(".runs")),
    )


def plot(found: list[dict[str, float]], path: Path) -> None:
    """Draw time and memory over rows."""
    import matplotlib as mpl  # noqa: PLC0415 (a peer of the benchmarks alone)

    mpl.use("agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure, (time_axes, memory_axes) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    rows = [each["rows"] for each in found[:-1]]
    for stage in STAGES:
        time_axes.loglog(rows, [each[f"{stage} CPU"] for each in found[:-1]], "o-", label=stage)
    time_axes.set(xlabel="rows", ylabel="CPU seconds", title="Time")
    time_axes.legend()
    peaks = [each["train peak MiB"] for each in found[:-1]]
    memory_axes.semilogx(rows, peaks, "o-", color="black")
    memory_axes.set(xlabel="rows", ylabel="MiB", title="Largest memory of the process", ylim=(0, max(peaks) * 1.3))
    for axes in (time_axes, memory_axes):
        axes.grid(visible=True, alpha=0.3)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    if "--one" in sys.argv or "--columns" in sys.argv:
        print(json.dumps(one(Path(sys.argv[2]), int(sys.argv[3]))))
    else:
        main([int(rows) for rows in sys.argv[1:]] or list(SIZES))
