"""The sections on where a challenger comes from, what ended a round that was blocked, and which commands lead back."""

import shlex
from pathlib import Path
from typing import Any

from unbroken.charts.page import Page, commands, paragraph, values_table
from unbroken.config import RetrainConfig
from unbroken.errors import BlockedError
from unbroken.reports.retraining import lineage_of
from unbroken.retraining.datasets import CycleDatasets
from unbroken.retraining.new_data import Cycle, registry_of
from unbroken.retraining.promotion import Decision


def add_lineage(page: Page, decision: Decision, cycle: Cycle, datasets: CycleDatasets, run: Path, source: str) -> None:
    """Add which model came from which, and from which files.

    Args:
        page: The page.
        decision: What became of the challenger.
        cycle: Its files.
        datasets: Its rows.
        run: The folder of its training.
        source: Where its files came.
    """
    older = f" and {datasets.replay.rows:,} older" if datasets.replay else ""
    told: dict[str, object] = {
        "source": source,
        **lineage_of(decision, cycle),
        "rows that train": f"{datasets.train.rows:,} new{older}",
        "rows that judge": f"{datasets.test.rows:,} new",
        "seen before, and now": f"{cycle.watermark}, {cycle.next_watermark}",
        "training": run,
    }
    if (own := run / "report.html").is_file():
        told["page of the training"] = own
    page.add(
        "Where does it come from?",
        "Lineage",
        values_table(told),
        *(f'<div class="notice">{paragraph(f"Left out: {complaint}")}</div>' for complaint in cycle.broken),
    )


def add_way_back(page: Page, decision: Decision, before: str | None, config: RetrainConfig) -> None:
    """Add the commands that undo the decision.

    Args:
        page: The page.
        decision: The decision.
        before: The digest of the champion before it, if there was one.
        config: Names the model.
    """
    digest = decision.challenger.digest[:16]
    if decision.approval:
        told = "The challenger won and awaits approval. To make it the champion, or to keep the present one:"
        lines = [registry_command(config, "approve", digest), registry_command(config, "refuse", digest)]
    elif not decision.verdict.promote:
        told = "The champion stayed. To promote the challenger by hand all the same:"
        lines = [registry_command(config, "promote", digest)]
    elif before is None:
        told, lines = "There was no champion before this one to go back to.", []
    else:
        told = "To go back to the champion before, while this is the last promotion, and at any later time:"
        lines = [registry_command(config, "rollback"), registry_command(config, "promote", before[:16])]
    page.add(
        "How to go back",
        "Go back",
        paragraph(told),
        commands(lines) if lines else "",
        paragraph("Every decision about the model, and predictions of its champion:"),
        commands(
            [
                registry_command(config, "history"),
                f"unbroken predict --model {_folder(config)} --source NEW_ROWS.parquet",
            ]
        ),
    )


def add_block(page: Page, error: BlockedError, event: dict[str, Any], config: RetrainConfig) -> None:
    """Add what ended a round before any training."""
    told: dict[str, object] = {
        "when (UTC)": str(event.get("time", "not noted"))[:19].replace("T", " "),
        "new files": error.data,
        "source": config.train.data.source,
        "rule": error.rule,
        "champion, as before": registry_of(config).pointer.champion or "none",
    }
    page.add(
        "What ended it?",
        "Blocked",
        f'<div class="notice">{paragraph(str(error))}</div>',
        paragraph("Nothing was trained, and the champion stays. These files are looked at again by the next round."),
        values_table(told),
    )


def add_history(page: Page, config: RetrainConfig) -> None:
    """Add the command that shows every decision about the model."""
    page.add("What came before?", "History", commands([registry_command(config, "history")]))


def registry_command(config: RetrainConfig, action: str, *words: str) -> str:
    """Return a command about the model, to be typed in any folder."""
    folder = Path(config.models_folder).absolute()
    return shlex.join(["unbroken", "registry", "--models_folder", str(folder), action, config.model, *words])


def _folder(config: RetrainConfig) -> str:
    return shlex.quote(str(Path(config.models_folder).absolute() / config.model))
