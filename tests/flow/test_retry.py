"""A flow run that Prefect retries goes on from the last saved optimizer state."""

from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import State, TaskRun

from flows.train import train
from unbroken.config import Config, DataConfig, ModelConfig, TrainingConfig
from unbroken.run import open_run
from unbroken.storage.journal import Journal

STEPS = 4  # 800 rows to train, 256 a batch
IN_EPOCH_4 = 3 * STEPS + 2


def task_runs(flow_run: UUID | None) -> list[TaskRun]:
    """Return the task runs of a flow run in the order they started, as the server tells them."""
    assert flow_run is not None
    with get_client(sync_client=True) as client:
        task_runs = client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[flow_run])))
    return sorted(task_runs, key=lambda run: str(run.expected_start_time))


@pytest.mark.usefixtures("prefect_server")
def test_a_retried_flow_finds_stages_1_to_3_cached_and_continues_from_epoch_3(tmp_path: Path):
    marker = tmp_path / "failed"
    model = ModelConfig(
        factory="tests.flow.failing_model:FailsOnce", options={"marker": str(marker), "at_step": IN_EPOCH_4}
    )
    config = Config(
        data=DataConfig(source="sample"),
        model=model,
        training=TrainingConfig(epochs=5),
        runs_folder=str(tmp_path / "runs"),
    )

    retried: Any = train.with_options(retries=1, retry_delay_seconds=0)
    state: State[Any] = retried(config, return_state=True)

    assert marker.exists()
    assert state.is_completed()
    states = [(run.name.partition(":")[0], run.state_name) for run in task_runs(state.state_details.flow_run_id)]
    assert ("train", "Failed") in states
    for stage in ("load_data", "preprocess", "split"):
        assert [name for task, name in states if task == stage] == ["Completed", "Cached"]
    resumed = [event for event in Journal(open_run(config).journal).events() if event["event"] == "resumed"]
    assert [(event["epoch"], event["step"]) for event in resumed] == [(3, 0)]

    undisturbed = replace(config, runs_folder=str(tmp_path / "undisturbed"))
    expected = Path(train(undisturbed).path).read_bytes()
    assert Path(state.result().path).read_bytes() == expected
