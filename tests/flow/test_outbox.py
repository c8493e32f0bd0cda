"""Whom a retraining tells, each once: a Prefect server, a block of it, and a real receiver that counts."""

import logging
import signal
import subprocess
import sys
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.states import Crashed

from flows.retrain import retrain
from tests.contract import write_rows
from tests.flow.conftest import ROOT
from tests.flow.notified import Receiver, notified_config, receiving
from unbroken.cli.main import answer
from unbroken.deployment.healing import surrender
from unbroken.errors import BlockedError, ConfigError
from unbroken.orchestration.restart import GAVE_UP
from unbroken.serving.registry import Registry

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture
def receiver() -> Generator[Receiver]:
    with receiving() as receiver:
        yield receiver


def arrives(folder: Path, name: str, seed: int) -> Path:
    return Path(write_rows(folder / "in" / f"{name}.parquet", "binary", rows=800, seed=seed))


def test_a_block_is_told_of_a_promotion_a_refusal_and_blocked_data_once_each(tmp_path: Path, receiver: Receiver):
    block = receiver.block("decisions")
    arrives(tmp_path, "2024-01", 1)
    retrain(notified_config(tmp_path, block))
    arrives(tmp_path, "2024-02", 2)
    retrain(notified_config(tmp_path, block, margin=0.4))
    arrives(tmp_path, "2024-03", 3).write_bytes(b"not Parquet")
    for _ in range(2):
        with pytest.raises(BlockedError):
            retrain(notified_config(tmp_path, block))

    assert receiver.subjects() == ["rows: promoted", "rows: the champion stays", "rows: blocked"]
    assert "2024-01.parquet: promote: " in receiver.told[0]["text"]
    assert "/flow-run/" in receiver.told[0]["text"]
    assert "2024-03.parquet: cannot be read" in receiver.told[2]["text"]
    assert len(set(receiver.keys())) == 3


def test_a_receiver_that_is_away_does_not_fail_the_round_and_is_told_by_the_next(
    tmp_path: Path, receiver: Receiver, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
):
    block, receiver.status = receiver.block("away"), 503
    arrives(tmp_path, "2024-01", 1)
    with caplog.at_level(logging.WARNING):
        assert retrain(notified_config(tmp_path, block)).verdict.promote
    assert "custom-webhook/away: the receiver answered 503. The next round tries again" in caplog.text
    registry = Registry(tmp_path / "models" / "rows")
    (intent,) = registry.outbox().pending()
    receiver.status = 200

    assert answer(["registry", "--models_folder", str(tmp_path / "models"), "deliver", "rows"]) == 0

    assert f"told     {intent.key}\npending  nothing\n" in capsys.readouterr().out
    retrain(notified_config(tmp_path, block))
    assert receiver.keys() == [intent.key]


def test_a_block_that_is_not_there_ends_the_round_before_any_work(tmp_path: Path):
    arrives(tmp_path, "2024-01", 1)
    with pytest.raises(ConfigError, match=r"notify\.block: found 'slack-webhook/nobody', expected the type and name"):
        retrain(notified_config(tmp_path, "slack-webhook/nobody"))
    assert not (tmp_path / "models").exists()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_flow_killed_before_and_after_each_entry_of_the_outbox_tells_once(
    tmp_path: Path, receiver: Receiver, environment: dict[str, str]
):
    block = receiver.block("killed")
    counts = {}
    for entry in range(4):  # the intents of event and notification, then both done
        for when in ("before", "after"):
            folder = tmp_path / f"{entry}-{when}"
            arrives(folder, "2024-01", 1)
            receiver.told.clear()
            command = [sys.executable, "-m", "tests.flow.killed_retrain", str(folder), block, str(entry), when]
            killed = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, timeout=600, check=False)
            assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()

            again = retrain(notified_config(folder, block), return_state=True)  # ty: ignore[no-matching-overload]

            assert again.name == "Skipped"
            registry = Registry(folder / "models" / "rows")
            assert [event["event"] for event in registry.history()] == ["promoted"]
            assert registry.outbox().pending() == []
            assert len(set(receiver.keys())) == 1
            counts[entry, when] = len(receiver.told)
    # Told, and dead before that was written down: a block cannot be asked.
    assert counts == {case: 2 if case == (3, "before") else 1 for case in counts}


def test_people_are_told_once_of_a_run_that_is_given_up(receiver: Receiver, tmp_path: Path):
    block = receiver.block("given-up")
    parameters: dict[str, Any] = {"config": {"train": {"notify": {"block": block}}}}
    with get_client(sync_client=True) as client:
        run_id = given_up_run(parameters)
        since = datetime.now(UTC) - timedelta(days=1)
        (run,) = surrender.untold(client, since)
        assert run.id == run_id
        surrender.tell(client, run, "http://127.0.0.1/page")
        assert surrender.untold(client, since) == []

    assert receiver.told[0]["text"].startswith("crashed 11 times\nhttp://127.0.0.1/page\nkey: ")
    assert receiver.subjects() == [f"{run.name}: given up"]


def given_up_run(parameters: dict[str, Any]) -> UUID:
    """Make a deployed run that is given up."""

    @flow(name="given-up")
    def nothing(config: dict[str, object]) -> None:
        """Do nothing."""

    with get_client(sync_client=True) as client:
        flow_id = client.create_flow(nothing)
        deployment = client.create_deployment(flow_id, "given-up", enforce_parameter_schema=False)
        run = client.create_flow_run_from_deployment(deployment, parameters=parameters)
        client.set_flow_run_state(run.id, Crashed(name=GAVE_UP, message="crashed 11 times"), force=True)
        return run.id
