"""What `make serve` registers: once, with forms and names a person understands, retraining chained to scoring."""

from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pyarrow.parquet as pq
import pytest

from tests.contract import write_rows
from tests.flow.served import Served

pytestmark = pytest.mark.timeout(600)


def registered(served: Served) -> dict[str, str]:
    """Return the names of what is registered and the ids."""
    kinds = {kind: served.ask("POST", f"/{kind}/filter", {}) for kind in ("automations", "work_pools", "deployments")}
    ids = {f"{kind} {item['name']}": item["id"] for kind, items in kinds.items() for item in items}
    assert len(ids) == sum(len(items) for items in kinds.values())
    return ids


def edit(served: Served, model: str, *, active: bool, paused: bool, limit: int | None) -> None:
    """Change parameters, schedule, pause and pool as the forms of the UI do."""
    nightly, champion = served.deployment("retrain/nightly"), served.deployment("predict/champion")
    config = nightly["parameters"]["config"] | {"model": model}
    served.ask("PATCH", f"/deployments/{nightly['id']}", {"parameters": {"config": config}})
    (schedule,) = nightly["schedules"]
    served.ask("PATCH", f"/deployments/{nightly['id']}/schedules/{schedule['id']}", {"active": active})
    served.ask("POST", f"/deployments/{champion['id']}/{'pause' if paused else 'resume'}_deployment")
    served.ask("PATCH", f"/work_pools/{served.project}", {"concurrency_limit": limit})


def edited(served: Served) -> list[Any]:
    """Return what `edit` changes, as it is."""
    nightly, champion = served.deployment("retrain/nightly"), served.deployment("predict/champion")
    return [
        nightly["parameters"]["config"]["model"],
        [schedule["active"] for schedule in nightly["schedules"]],
        champion["paused"],
        served.ask("GET", f"/work_pools/{served.project}")["concurrency_limit"],
    ]


def shown(printed: str) -> list[str]:
    """Return the differences that a command shows."""
    return [line for line in printed.splitlines() if "->" in line]


def differences(served: Served, word: str) -> list[str]:
    """Return how the edit of these tests is shown."""
    name = served.project
    return [
        f"{word:8} work pool {name}: concurrency_limit: 3 -> nothing",
        f'{word:8} deployment retrain/{name}-nightly: parameters.config.model: "other" -> "flights"',
        f"{word:8} deployment retrain/{name}-nightly: schedules[0].active: false -> true",
        f"{word:8} deployment predict/{name}-champion: paused: true -> false",
    ]


def test_serving_again_starts_nothing_twice_and_changes_nothing_that_a_person_did(served: Served):
    before, name = registered(served), served.project
    edit(served, "other", active=False, paused=True, limit=3)

    again = served.deploy("serve")

    assert edited(served) == ["other", [False], True, 3]
    edit(served, "flights", active=True, paused=False, limit=None)
    assert "server   runs already" in again
    assert "worker   runs already" in again
    assert "healing  runs already" in again
    assert "created" not in again
    assert shown(again) == differences(served, "differs")
    assert "to take the project's: unbroken apply --reset" in again
    assert registered(served) == before
    assert sorted(before) == sorted(
        [
            f"automations {name}: a champion was promoted",
            f"deployments {name}-by-hand",
            f"deployments {name}-champion",
            f"deployments {name}-nightly",
            f"work_pools {name}",
        ]
    )


@pytest.mark.slow
def test_a_reset_brings_back_what_the_project_says_and_shows_it(served: Served):
    before, untouched = registered(served), edited(served)
    edit(served, "other", active=False, paused=True, limit=3)
    nightly, by_hand = served.deployment("retrain/nightly"), served.deployment("train/by-hand")
    more = [{"schedule": {"interval": 3600, "timezone": "UTC"}, "active": False, "slug": "hourly"}]
    served.ask("POST", f"/deployments/{by_hand['id']}/schedules", more)

    reset = served.deploy("apply", "--reset")

    assert shown(reset)[1].startswith(f"reset    deployment train/{served.project}-by-hand: schedules: [{{")
    assert [line for line in shown(reset) if "by-hand" not in line] == differences(served, "reset")
    assert edited(served) == untouched == ["flights", [True], False, None]
    assert served.deployment("train/by-hand")["schedules"] == []
    assert served.deployment("retrain/nightly")["schedules"][0]["schedule"] == nightly["schedules"][0]["schedule"]
    assert registered(served) == before
    assert shown(served.deploy("apply")) == []


@pytest.mark.slow
def test_what_a_project_changes_is_shown_and_not_done_until_it_is_asked_for(served: Served):
    path, name = served.folder / "prefect.yaml", served.project
    text = path.read_text()
    path.write_text(text.replace("flows.train.train", "flows/train.py:train").replace('cron: "0 3', 'cron: "0 4'))
    try:
        left = served.deploy("apply")
    finally:
        path.write_text(text)

    assert shown(left) == [
        f'differs  deployment train/{name}-by-hand: entrypoint: "flows.train.train" -> "flows/train.py:train"',
        f'differs  deployment retrain/{name}-nightly: schedules[0].schedule.cron: "0 3 * * *" -> "0 4 * * *"',
    ]
    assert served.deployment("train/by-hand")["entrypoint"] == "flows.train.train"
    assert shown(served.deploy("apply")) == []


def test_the_server_schedules_the_nightly_retraining(served: Served):
    def scheduled() -> list[Any]:
        runs = [run for run in served.runs_of("retrain/nightly") if run["auto_scheduled"]]
        return [run for run in runs if run["state_type"] == "SCHEDULED"]

    times = [run["expected_start_time"] for run in served.eventually(scheduled, "runs of the schedule")]
    assert {time[11:19] for time in times} == {"03:00:00"}


def test_every_setting_in_the_form_has_its_help(served: Served):
    for name in ("train/by-hand", "retrain/nightly", "predict/champion"):
        schema = served.deployment(name)["parameter_openapi_schema"]
        lacking = [
            f"{group}.{field}"
            for group, definition in schema["definitions"].items()
            for field, about in definition["properties"].items()
            if not (about.get("description") or _described(about, schema))
        ]
        assert lacking == []


def test_the_form_refuses_what_the_settings_would_refuse(served: Served):
    deployment = served.deployment("train/by-hand")["id"]
    wrong: dict[str, Any] = {"epochs": -1, "optimizer": "Adamm", "learning_rate": 0, "ema_decay": 1}
    for name, value in wrong.items():
        config = {"data": {"source": "sample"}, "training": {name: value}}
        body = {"parameters": {"config": config}, "state": {"type": "SCHEDULED"}}

        answer = served.try_to_ask("POST", f"/deployments/{deployment}/create_flow_run", body)

        assert answer.status_code == httpx.codes.CONFLICT, answer.text
        assert name in answer.text or str(value) in answer.text


def _described(about: dict[str, Any], schema: dict[str, Any]) -> bool:
    references = [about.get("$ref"), *(part.get("$ref") for part in about.get("allOf", []))]
    return any("description" in schema["definitions"][ref.rpartition("/")[2]] for ref in references if ref)


@pytest.mark.slow
def test_a_promotion_starts_the_scoring_of_its_rows_with_the_new_champion(served: Served, tmp_path: Path):
    write_rows(tmp_path / "incoming" / "first.parquet", "binary", rows=2000)
    train = {"data": {"source": str(tmp_path / "incoming")}, "runs_folder": str(tmp_path / "runs")}
    config = {"model": "toy", "models_folder": str(tmp_path / "models"), "train": train}

    run = served.start("retrain/nightly", config)

    served.wait_for(run, "Promoted")
    (report,) = [artifact for artifact in served.artifacts(run) if artifact["key"].startswith("decision-")]
    assert report["data"].startswith("# Promoted")
    assert "auroc of a constant guess" in report["data"]
    assert "Beside the challenger" in report["data"]
    model = tmp_path / "models" / "toy"

    def scorings() -> list[UUID]:
        runs = served.runs_of("predict/champion")
        return [UUID(run["id"]) for run in runs if run["parameters"].get("model") == str(model)]

    (scoring,) = served.eventually(scorings, "the scoring")
    served.wait_for(scoring, "Completed")
    second = served.start("retrain/nightly", config)
    assert served.wait_for(second, "Skipped", "Completed")["name"] == "Skipped"
    assert len(scorings()) == 1
    (standing,) = (served.folder / "predictions" / "toy").glob("*/*.parquet")
    assert standing.name.startswith("first-")
    assert pq.read_table(standing).num_rows == 2000


def test_a_training_shows_its_name_and_its_report(served: Served, tmp_path: Path):
    config = {"data": {"source": "sample"}, "training": {"epochs": 2}, "runs_folder": str(tmp_path / "runs")}

    run = served.start("train/by-hand", config)

    served.wait_for(run, "Completed")
    assert served.ask("GET", f"/flow_runs/{run}")["name"] == "sample mlp, attempt 1"
    (report,) = served.artifacts(run)
    assert report["type"] == "markdown"
    assert report["data"].startswith("# 2 epochs")
    served.eventually(lambda: [line for line in served.logs(run) if "epoch 2: checkpoint saved" in line], "the log")

    def published() -> list[dict[str, Any]]:  # among those of other runs on this server
        events = served.events("prefect.asset.materialization.succeeded")
        return [
            event for event in events if event["resource"]["prefect.resource.id"].startswith(f"file://{tmp_path}/runs/")
        ]

    (event,) = served.eventually(published, "the asset")
    sources = [
        related["prefect.resource.id"] for related in event["related"] if related["prefect.resource.role"] == "asset"
    ]
    assert [source.rpartition("/")[2] for source in sources] == ["sample"]
