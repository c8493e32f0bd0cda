"""How good the presets are beside their peers on real tables: `python -m benchmarks.quality --tables 12 --seeds 1`.

Each result is kept as a line of `results/quality.jsonl`: what was stopped goes on with the rest, and `--models` adds contenders.
Settings are tuned on one half of the tables alone.
"""

import argparse
import itertools
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.contenders import CONTENDERS, Outputs, test_rows
from benchmarks.measure import RESULTS
from benchmarks.tables import CAP, TABLES, Table, Task

KEPT, BASE = RESULTS / "quality.jsonl", "HistGradientBoosting"
FLOOR = 0.01
"""A smaller error counts as this one, so that no table of easy classes outweighs all others."""


def error_of(outputs: Outputs, label: pd.Series, task: Task) -> dict[str, float]:
    """Return the metrics of some rows, `error` the one that ranks: 1 - AUROC (one against the rest), or RMSE by deviation."""
    from sklearn.metrics import log_loss, roc_auc_score  # noqa: PLC0415

    if task == "regression":
        values = label.to_numpy()
        return {"error": float(np.sqrt(np.mean((outputs - values) ** 2)) / np.std(values))}
    codes, classes = label.cat.codes.to_numpy(), np.arange(outputs.shape[1])
    outputs = np.clip(outputs, 1e-7, 1)
    outputs = outputs / outputs.sum(axis=1, keepdims=True)
    if task == "binary":
        auroc = roc_auc_score(codes, outputs[:, 1])
    else:
        present = np.unique(codes)
        auroc = np.mean([roc_auc_score(codes == code, outputs[:, code]) for code in present])
    return {
        "error": 1 - float(auroc),
        "log_loss": float(log_loss(codes, outputs, labels=classes)),
        "wrong": float((outputs.argmax(axis=1) != codes).mean()),
    }


def measure(table: Table, model: str, seed: int, cap: int) -> dict[str, Any]:
    """Learn a table once, and return how well and how long."""
    frame = table.read(cap)
    test = test_rows(len(frame), seed)
    label = frame["label"] if table.task == "regression" else frame["label"].astype("category")
    started = time.perf_counter()
    outputs = CONTENDERS[model](frame, test, table.task, seed)
    seconds = time.perf_counter() - started
    return {
        "table": table.name,
        "half": table.half,
        "task": table.task,
        "model": model,
        "seed": seed,
        "cap": cap,
        "rows": len(frame),
        "columns": frame.shape[1] - 1,
        "seconds": round(seconds, 2),
        **error_of(outputs, label[test], table.task),
    }


def kept(cap: int, path: Path = KEPT) -> list[dict[str, Any]]:
    """Return the results that are kept for tables of at most so many rows; a line that was torn is passed over."""
    lines = path.read_text().splitlines() if path.exists() else []
    results = [json.loads(line) for line in lines if line.endswith("}")]
    return [found for found in results if found["cap"] == cap]


def chosen(arguments: argparse.Namespace) -> list[Table]:
    """Return the tables that were asked for, in an order by the hash of their names, so that the first few are of all kinds."""
    tables = [table for table in TABLES if arguments.half in ("both", table.half)]
    tables = [table for table in tables if not arguments.names or table.name in arguments.names]
    return sorted(tables, key=lambda table: table.digest)[: arguments.tables]


def collect(arguments: argparse.Namespace, path: Path = KEPT) -> None:
    """Measure and keep what is not kept; one that fails is told, and tried again the next time."""
    done = {(found["table"], found["seed"], found["model"]) for found in kept(arguments.cap, path)}
    wanted = itertools.product(chosen(arguments), range(arguments.seeds), arguments.models or CONTENDERS)
    for table, seed, model in wanted:
        if (table.name, seed, model) in done:
            continue
        try:
            found = measure(table, model, seed, arguments.cap)
        except Exception as error:  # (a peer's, of whatever kind)
            print(f"{table.name} {model} seed {seed}: {type(error).__name__}: {error}", flush=True)
            continue
        with path.open("a") as file:
            file.write(json.dumps(found) + "\n")
        print(
            f"{table.name:28} {model:22} seed {seed}  error {found['error']:.4f}  {found['seconds']:.1f} s", flush=True
        )


def summary(results: list[dict[str, Any]], half: str) -> pd.DataFrame:
    """Return of each model, over the tables of a half, the mean rank, the geometric mean of its error by BASE's, and its seconds.

    Errors of a table are the mean of its seeds, and FLOOR at least; only tables count that all models learnt.
    """
    frame = pd.DataFrame(results)
    frame = frame[frame["half"] == half]
    errors = frame.pivot_table(index="table", columns="model", values="error").dropna().clip(lower=FLOOR)
    seconds = frame[frame["table"].isin(errors.index)].groupby("model")["seconds"].median()
    ratios = errors.div(errors[BASE], axis=0)
    columns = {
        "tables": len(errors),
        "mean rank": errors.rank(axis=1).mean(),
        "error / HistGradientBoosting": np.exp(np.log(ratios).mean()),
        "better than it on": (ratios < 1).sum(),
        "median seconds": seconds,
    }
    return pd.DataFrame(columns).sort_values("mean rank")


def markdown(table: pd.DataFrame, half: str) -> str:
    """Return a summary as a table of Markdown."""
    names = [f"model ({half})", *table.columns]
    lines = [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
    for name, row in table.iterrows():
        rank, ratio, better, seconds = row.iloc[1:]
        lines.append(f"| {name} | {row.iloc[0]:.0f} | {rank:.2f} | {ratio:.3f} | {better:.0f} | {seconds:.1f} |")
    return "\n".join(lines)


def plot(summaries: dict[str, pd.DataFrame], path: Path) -> None:
    """Draw error against time, a panel for each half."""
    import matplotlib as mpl  # noqa: PLC0415 (a peer of the benchmarks alone)

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure, panels = plt.subplots(1, len(summaries), figsize=(6 * len(summaries), 4), sharey=True, squeeze=False)
    for panel, (half, table) in zip(panels[0], summaries.items(), strict=True):
        panel.scatter(table["median seconds"], table["error / HistGradientBoosting"])
        for name, row in table.iterrows():
            panel.annotate(str(name), (row["median seconds"], row["error / HistGradientBoosting"]), fontsize=8)
        panel.set(xscale="log", xlabel="median seconds a table", title=f"{half}: {table['tables'].iloc[0]} tables")
        panel.axhline(1, linewidth=0.5, color="grey")
        panel.margins(x=0.2)
    panels[0][0].set_ylabel("error / HistGradientBoosting")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    """Measure what is asked for and not yet kept, and print and draw all that is kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=int, default=len(TABLES), help="how many tables")
    parser.add_argument("--names", nargs="+", default=[], help="only these tables")
    parser.add_argument("--seeds", type=int, default=3, help="how many splits of each")
    parser.add_argument("--half", choices=("tuning", "held out", "both"), default="both")
    parser.add_argument("--models", nargs="+", choices=list(CONTENDERS), help="some of the contenders")
    parser.add_argument("--cap", type=int, default=CAP, help="most rows of a table")
    arguments = parser.parse_args()
    collect(arguments)
    results = [result for result in kept(arguments.cap) if result["model"] in (arguments.models or CONTENDERS)]
    halves = [half for half in ("tuning", "held out") if any(found["half"] == half for found in results)]
    summaries = {half: summary(results, half) for half in halves}
    print("\n\n".join(markdown(table, half) for half, table in summaries.items()))
    plot(summaries, RESULTS / "quality.png")


if __name__ == "__main__":
    main()
