"""The sections on how a training went: is it good, did it overfit, what happened, how to get it back."""

import math
import shlex

from unbroken.charts.page import Page, commands, details, paragraph, table, tiles, values_table
from unbroken.checkpoints.history import History, best_epoch
from unbroken.config.metrics import CONSTANT, METRICS
from unbroken.reports.goodput import Goodput
from unbroken.reports.markdown import format_number, format_share
from unbroken.reports.pace import duration
from unbroken.reports.run import RunReport, attempts
from unbroken.run import Run

TEST, VALIDATION = "test_", "validation_"
ACRONYMS = ("auroc", "f1", "rmse", "mae", "r2")
OVERFIT = 0.02
"""A validation loss that rose by more than this share since its best epoch is told."""


def add_result(page: Page, report: RunReport) -> None:
    """Add how the published epoch fares on the rows that test, against guesses that it has to beat."""
    model, baselines = report.test_metrics_by_name(), report.manifest.get("baselines", {})
    left_out = report.manifest.get("baselines_left_out", {})
    cards = [(format_number(value), _words(name), *_verdict(name, value, baselines)) for name, value in model.items()]
    heading = ["metric", "this model", *baselines]
    rows = [
        [_words(name), format_number(value), *(format_number(guess.get(name)) for guess in baselines.values())]
        for name, value in model.items()
    ]
    once = (
        "The test rows chose nothing: they were scored once, for this epoch."
        if report.scored_once
        else ("The test rows were scored after each epoch.")
    )
    epoch = f"Published is epoch {report.manifest['epoch']} of {len(report.history)}. {once}"
    page.add(
        "Is it good?",
        "Good?",
        tiles(cards),
        paragraph(epoch),
        table([heading, *rows], numbers=range(1, len(heading))) if baselines else "",
        *(paragraph(f"{name} is left out: {why}", "note") for name, why in left_out.items()),
    )


def add_curves(page: Page, report: RunReport) -> None:
    """Add the metrics of each epoch."""
    history, published = report.history, report.manifest["epoch"]
    resumed = [event["epoch"] for event in report.events if event["event"] == "resumed"]
    figures = []
    if page.bundle:
        from unbroken.charts.figures import learning_curves  # noqa: PLC0415 (an extra)

        for title, names in _groups(history):
            note = "solid line: published" + ("; dashed: resumed" if resumed else "")
            figures.append(
                (
                    title.upper() if title in ACRONYMS else title.capitalize(),
                    note,
                    learning_curves(title, names, history, published, resumed),
                )
            )
    page.add(
        "Did it overfit?",
        "Overfit?",
        paragraph(_gap(report)),
        page.charts(*figures),
        details("All epochs as a table", table(report.epochs(), numbers=range(len(report.epochs()[0]) - 1))),
    )


def add_attempts(page: Page, report: RunReport, goodput: Goodput) -> None:
    """Add what interruptions cost."""
    lost = sum(attempt.lost > 0 for attempt in goodput.attempts)
    cards = [
        (str(len(goodput.attempts)), "attempts", "", ""),
        (duration(goodput.useful), "of use", "", ""),
        (
            duration(goodput.lost),
            "lost",
            f"{lost} interruption{'s' * (lost > 1)}" if lost else "no interruption",
            "warn" if lost else "good",
        ),
        (format_share(goodput.share), "goodput: of use / elapsed", "", ""),
    ]
    rows = [
        [
            attempt.began[:19].replace("T", " "),
            attempt.origin,
            attempt.reached or "-",
            f"{attempt.useful:,.1f}",
            f"{attempt.lost:,.1f}",
        ]
        for attempt in goodput.attempts
    ]
    heading = ["began (UTC)", "from", "to the save of", "seconds of use", "seconds lost after it"]
    events = [["time (UTC)", "what happened"], *attempts(report.events)]
    page.add(
        "What happened?",
        "Attempts",
        tiles(cards),
        table([heading, *rows], numbers=(3, 4)) if rows else "",
        details("Events of the journal", table(events)),
        paragraph(
            "Lost is what was computed and not saved, and the time until the next attempt; where all epochs that were asked for "
            "were done, the time until more were asked for is not lost.",
            "note",
        ),
    )


def add_way_back(page: Page, report: RunReport, run: Run, name: str | None) -> None:
    """Add the commands that show, use and train on this run, and what names its parts."""
    word, manifest = shlex.quote(name or run.key), report.manifest
    lines = [
        f"unbroken runs show {word}",
        f"unbroken runs verify {word}",
        f"unbroken runs replay {word}",
        f"unbroken predict --model {shlex.quote(str(run.published))} --source NEW_ROWS.parquet",
    ]
    digests = {"checkpoint.pth, SHA-256": manifest["sha256"], **report.lineage(run)}
    code = manifest["lineage"].get("code") or []
    versions = code[-1].get("code") or {} if code else {}
    exact = "yes" if manifest["lineage"].get("exact") else "no: several codes or machines trained it"
    digests |= {name: versions[name] for name in ("unbroken", "python") if name in versions} | {"exact": exact}
    page.add(
        "How to get it back",
        "Get it back",
        commands(lines),
        values_table(digests),
        details("Settings that matter or differ from the defaults", values_table(report.settings())),
    )


def _verdict(name: str, value: float, baselines: dict[str, dict[str, float]]) -> tuple[str, str]:
    """Return a word on a metric against what the model has to beat, and whether that is good or bad."""
    metric = METRICS.get(name.removeprefix(TEST))
    if metric is None or not math.isfinite(value):
        return "", ""
    known = {guess: told[name] for guess, told in baselines.items() if math.isfinite(told.get(name, math.nan))}
    sign = -1 if metric.smaller_is_better else 1
    unbeaten = [guess for guess, other in known.items() if sign * value <= sign * other]
    if unbeaten:
        return f"not better than {unbeaten[0]}", "bad" if CONSTANT in unbeaten else "warn"
    return (f"better than {' and '.join(known)}", "good") if known else ("", "")


def _groups(history: History) -> list[tuple[str, list[str]]]:
    """Return the metrics that are shown together: losses, and each other metric of all parts; none that never changes."""
    names = [
        name for name in history[-1] if len(history) == 1 or any(entry[name] != history[0][name] for entry in history)
    ]
    plain = dict.fromkeys(name.removeprefix(TEST).removeprefix(VALIDATION) for name in names)
    groups = {name: [part + name for part in ("", VALIDATION, TEST) if part + name in names] for name in plain}
    return [(name.replace("_", " "), group) for name, group in groups.items() if name != "epoch"]


def _gap(report: RunReport) -> str:
    history, epoch = report.history, report.manifest["epoch"]
    entry, last = history[epoch - 1], history[-1]
    part = next((part for part in (VALIDATION, TEST) if f"{part}loss" in entry), None)
    if part is None:
        return "No rows were scored after each epoch, so only the training loss is known."
    name = f"{part}loss"
    words = f"In the published epoch the training loss is {entry['loss']:.4f}, the {_words(name)} {entry[name]:.4f}."
    best = best_epoch(history, name)
    if best is None or best == len(history):
        return f"{words} The {_words(name)} was still falling in the last epoch: more epochs may help."
    rise = last[name] / history[best - 1][name] - 1
    if rise > OVERFIT:
        return f"{words} After epoch {best} the {_words(name)} rose by {rise:.0%}: from there on it overfits."
    return f"{words} The {_words(name)} was least in epoch {best}, and has hardly changed since."


def _words(name: str) -> str:
    return name.replace("_", " ")
