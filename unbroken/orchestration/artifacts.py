"""What Prefect's UI shows of a training: its progress while it runs, a report at its end."""

import contextvars
import logging
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast
from uuid import UUID

import httpx
from prefect.artifacts import create_markdown_artifact, create_progress_artifact, update_progress_artifact
from prefect.exceptions import PrefectException

from unbroken.reports.retraining import decision_markdown
from unbroken.reports.run import RunReport
from unbroken.retraining.data_check import DataCheck
from unbroken.retraining.new_data import Cycle
from unbroken.retraining.promotion import Decision
from unbroken.run import Run
from unbroken.training.progress import Progress, Report

log = logging.getLogger(__name__)
UPDATE_SECONDS = 5.0
LAST_UPDATE_SECONDS = 5.0


@contextmanager
def progress_artifact(run: Run) -> Generator[Report]:
    """Yield what shows the progress of a training that takes more than some seconds; it never makes the training wait."""
    shown, ended = _Shown(run), threading.Event()

    def show() -> None:
        while not ended.wait(UPDATE_SECONDS):
            shown.update()
        if shown.artifact is not None:
            shown.update()

    # The context tells Prefect which task run the artifact belongs to.
    run_there = contextvars.copy_context().run
    thread = threading.Thread(target=run_there, args=(show,), name="progress-artifact", daemon=True)
    thread.start()
    try:
        yield shown.keep
    finally:
        ended.set()
        thread.join(LAST_UPDATE_SECONDS)


def show_report(run: Run) -> None:
    """Keep the report of a finished training with its flow run."""
    markdown = RunReport.read(run).markdown(run)
    with _if_the_server_answers():
        create_markdown_artifact(markdown, key=f"report-{run.key}", description="Epochs, curves, attempts and lineage.")


def show_decision(decision: Decision, found: Cycle, checked: DataCheck) -> None:
    """Keep the report of a retraining with its flow run."""
    report = decision_markdown(decision, found, checked)
    key = f"decision-{Path(found.folder).name}"
    with _if_the_server_answers():
        create_markdown_artifact(report, key=key, description="Gate, drift of the data and lineage.")


@contextmanager
def _if_the_server_answers() -> Generator[None]:
    """Let a training go on that cannot be shown."""
    try:
        yield
    except (httpx.HTTPError, PrefectException) as error:
        log.warning("the server cannot show this now: %s", error)


@dataclass
class _Shown:
    """The artifact of a training and the progress that it is to show next."""

    run: Run
    progress: Progress | None = None
    artifact: UUID | None = None

    def keep(self, progress: Progress) -> None:
        self.progress = progress

    def update(self) -> None:
        now = self.progress
        if now is None:
            return
        share = round(100 * (now.epoch - 1 + now.step / now.steps) / now.epochs, 1)
        about = f"epoch {now.epoch} of {now.epochs}, {now.rows:,} of {now.total_rows:,} rows"
        with _if_the_server_answers():
            if self.artifact is None:
                key = f"progress-{self.run.key}"
                self.artifact = cast("UUID", create_progress_artifact(share, key=key, description=about))
            else:
                update_progress_artifact(self.artifact, share, description=about)
