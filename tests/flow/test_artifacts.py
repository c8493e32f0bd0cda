"""What a flow run shows of a training: its pace while it runs, and why earlier attempts ended."""

import time
from pathlib import Path
from uuid import UUID

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.runtime import flow_run
from prefect.states import Crashed, Running

from unbroken.orchestration import artifacts
from unbroken.orchestration.artifacts import ends_of_attempts, progress_artifact
from unbroken.run import Run
from unbroken.training.progress import Progress

pytestmark = pytest.mark.usefixtures("prefect_server")

KEY = "fedcba9876543210"


@flow
def crashed_before() -> list[str]:
    with get_client(sync_client=True) as client:
        for state in (Crashed(message="Process exited with status code: -9."), Running()):
            client.set_flow_run_state(UUID(flow_run.id), state, force=True)
    return [end.reason for end in ends_of_attempts()]


@flow
def training(folder: str) -> None:
    with progress_artifact(Run(key=KEY, folder=folder, fingerprint="")) as report:
        for rows in (100, 200, 300):
            step = {"step": rows // 100, "steps": 4, "rows": rows, "total_rows": 400}
            report(Progress(epoch=2, epochs=2, loss=0.25, **step))
            time.sleep(0.2)


def test_the_end_of_an_attempt_has_the_words_of_the_server():
    assert crashed_before() == ["Crashed: Process exited with status code: -9."]


def test_the_progress_has_loss_rate_and_time_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(artifacts, "UPDATE_SECONDS", 0.1)

    training(str(tmp_path))

    with get_client(sync_client=True) as client:
        (shown,) = [artifact for artifact in client.read_artifacts() if artifact.key == f"progress-{KEY}"]
    assert shown.data == 87.5
    words = str(shown.description)
    assert words.startswith("epoch 2 of 2, 300 of 400 rows, loss 0.2500, ")
    assert words.endswith(" s left")
