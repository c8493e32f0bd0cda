"""Artifacts in Prefect's UI: the progress of a training, the report of a run, the report of a retraining."""

import contextvars
import logging
import re
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, cast
from uuid import UUID

import httpx
from prefect.artifacts import create_markdown_artifact, create_progress_artifact, update_progress_artifact
from prefect.client.orchestration import get_client
from prefect.exceptions import PrefectException
from prefect.runtime import flow_run

from unbroken.charts.images import main_charts
from unbroken.config import RetrainConfig
from unbroken.errors import BlockedError, UnbrokenError
from unbroken.orchestration.notification import tell_refusal
from unbroken.reports.pace import Pace
from unbroken.reports.retraining import decision_markdown, failure_markdown
from unbroken.reports.run import AttemptEnd, RunReport
from unbroken.retraining.data_check import DataCheck
from unbroken.retraining.new_data import Cycle, registry_of
from unbroken.retraining.promotion import Decision
from unbroken.run import Run
from unbroken.storage.publication import published_manifest
from unbroken.training.progress import Progress, Report

if TYPE_CHECKING:
    from unbroken.charts.page import Page
    from unbroken.charts.retraining.report import Written

log = logging.getLogger(__name__)
UPDATE_SECONDS = 5.0
LAST_UPDATE_SECONDS = 5.0
KEY_LETTERS = re.compile(r"[^a-z0-9]+")
"""What the key of an artifact cannot hold."""


@contextmanager
def progress_artifact(run: Run) -> Generator[Report]:
    """Yield what shows the progress of a training that takes more than some seconds; it never makes the training wait."""
    artifact, ended = _ProgressArtifact(run), threading.Event()

    def update() -> None:
        while not ended.wait(UPDATE_SECONDS):
            artifact.update()
        if artifact.id is not None:
            artifact.update()

    # The context tells Prefect which task run the artifact belongs to.
    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(update,), name="progress-artifact", daemon=True)
    thread.start()
    try:
        yield artifact.set_progress
    finally:
        ended.set()
        thread.join(LAST_UPDATE_SECONDS)


def show_report(run: Run, page: "Page | None" = None) -> None:
    """Keep the report of a finished training with its flow run; `page` is that of its folder, if there is one."""
    report = RunReport.read(run)
    with _server_errors_logged():
        markdown = report.markdown(run, ends_of_attempts() if report.interrupted else ()) + _charts(page)
        description = "Result, settings, curves, epochs, attempts and lineage."
        create_markdown_artifact(markdown, key=f"report-{run.key}", description=description)


def ends_of_attempts() -> list[AttemptEnd]:
    """Return why attempts at the flow run ended, as the server knows it: it was told, or noticed the silence."""
    with get_client(sync_client=True) as client:
        states = client.read_flow_run_states(UUID(flow_run.root_flow_run_id or flow_run.id))
    ended = [state for state in states if state.is_crashed() or state.is_failed() or state.is_paused()]
    return [
        AttemptEnd(
            time=state.timestamp.astimezone(UTC).isoformat(), reason=f"{state.name}: {state.message or 'no reason'}"
        )
        for state in ended
    ]


def show_decision(decision: Decision, cycle: Cycle, check: DataCheck, written: "Written | None" = None) -> None:
    """Keep the report of a retraining with its flow run; `written` is the page with charts, if there is one."""
    manifest = published_manifest(Path(decision.challenger.path))
    baselines, path = RunReport(manifest=manifest, events=[]).baselines(), written.path if written else None
    report = decision_markdown(decision, cycle, check, baselines, path) + _charts(written.page if written else None)
    key = f"decision-{cycle.path.name}"
    with _server_errors_logged():
        create_markdown_artifact(report, key=key, description="Gate, drift of the data and lineage.")


def show_sweep(key: str, markdown: str) -> None:
    """Keep the table of a sweep's trials with its flow run."""
    with _server_errors_logged():
        create_markdown_artifact(markdown, key=f"sweep-{key}", description="Settings and metric of each trial.")


def show_failed_round(error: UnbrokenError, config: RetrainConfig) -> None:
    """Keep the report of a retraining that ended without a decision with its flow run; a refusal has a page, and is told."""
    if isinstance(error, BlockedError):
        tell_refusal(error, config)
    champion = registry_of(config).pointer.champion if config.model else None
    key = KEY_LETTERS.sub("-", f"failed-{config.model or 'round'}".lower())
    report = failure_markdown(error, config, champion, _page_of_block(error, config))
    with _server_errors_logged():
        description = "What ended the round: which files, which rule."
        create_markdown_artifact(report, key=key, description=description)


def _page_of_block(error: UnbrokenError, config: RetrainConfig) -> Path | None:
    from unbroken.charts.retraining.report import write_blocked_or_warn  # noqa: PLC0415 (torch)

    written = write_blocked_or_warn(error, config) if isinstance(error, BlockedError) else None
    return written.path if written else None


def _charts(page: "Page | None") -> str:
    """Return the main charts of a page as Markdown."""
    return main_charts(page) if page else ""


@contextmanager
def _server_errors_logged() -> Generator[None]:
    """Log an error of the server instead of raising it: a training goes on that cannot be shown."""
    try:
        yield
    except (httpx.HTTPError, PrefectException) as error:
        log.warning("the server cannot show this now: %s", error)


@dataclass
class _ProgressArtifact:
    """The artifact of a training, made with the first update, and the progress that it is to show next."""

    run: Run
    progress: Progress | None = None
    id: UUID | None = None
    pace: Pace = field(default_factory=Pace)

    def set_progress(self, progress: Progress) -> None:
        self.progress = progress
        self.pace.add(progress)

    def update(self) -> None:
        progress = self.progress
        if progress is None:
            return
        percent = round(100 * (progress.epoch - 1 + progress.step / progress.steps) / progress.epochs, 1)
        text = self.pace.words(progress)
        with _server_errors_logged():
            if self.id is None:
                key = f"progress-{self.run.key}"
                self.id = cast("UUID", create_progress_artifact(percent, key=key, description=text))
            else:
                update_progress_artifact(self.id, percent, description=text)
