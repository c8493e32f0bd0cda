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

TRIGGER = "automations unbroken: a champion was promoted"


def registered(served: Served) -> dict[str, str]:
    """Return the names of what is registered and the ids, save of the trigger, which each deploying makes anew."""
    kinds = {kind: served.ask("POST", f"/{kind}/filter", {}) for kind in ("automations", "work_pools", "deployments")}
    ids = {f"{kind} {item['name']}": item["id"] for kind, items in kinds.items() for item in items}
    assert len(ids) == sum(len(items) for items in kinds.values())
    return ids | {TRIGGER: "any"}


def test_serving_again_starts_nothing_twice_and_changes_nothing(served: Served):
    before = registered(served)

    printed = served.deploy("serve")

    assert "server   runs already" in printed
    assert "worker   runs already" in printed
    assert "healing  runs already" in printed
    assert registered(served) == before
    assert sorted(before) == [
        TRIGGER,
        "deployments by-hand",
        "deployments champion",
        "deployments nightly",
        "work_pools unbroken",
    ]


def test_the_server_schedules_the_nightly_retraining(served: Served):
    def scheduled() -> list[Any]:
        runs = [run for run in served.runs_of("retrain/nightly") if run["auto_scheduled"]]
        return [run for run in runs if run["state_type"] == "SCHEDULED"]

    times = [run["expected_start_time"] for run in served.eventually(scheduled, "runs of the schedule")]
    assert {time[11:19] for time in times} == {"03:00:00"}


def test_every_setting_in_the_form_has_its_help(served: Served):
    for name in ("train/by-hand", "retrain/nightly", "predict/champion"):
        schema = served.ask("GET", f"/deployments/name/{name}")["parameter_openapi_schema"]
        lacking = [
            f"{group}.{field}"
            for group, definition in schema["definitions"].items()
            for field, about in definition["properties"].items()
            if not (about.get("description") or _described(about, schema))
        ]
        assert lacking == []


def test_the_form_refuses_what_the_settings_would_refuse(served: Served):
    deployment = served.ask("GET", "/deployments/name/train/by-hand")["id"]
    wrong: dict[str, Any] = {"epochs": -1, "optimizer": "Adamm", "learning_rate": 0, "ema_decay": 1}
    for name, value in wrong.items():
        config = {"data": {"source": "sample"}, "training": {name: value}}
        body = {"parameters": {"config": config}, "state": {"type": "SCHEDULED"}}

        answer = httpx.post(f"{served.api}/deployments/{deployment}/create_flow_run", json=body, timeout=90)

        assert answer.status_code == httpx.codes.CONFLICT, answer.text
        assert name in answer.text or str(value) in answer.text


def _described(about: dict[str, Any], schema: dict[str, Any]) -> bool:
    references = [about.get("$ref"), *(part.get("$ref") for part in about.get("allOf", []))]
    return any("description" in schema["definitions"][ref.rpartition("/")[2]] for ref in references if ref)


def test_a_promotion_starts_the_scoring_of_its_rows_with_the_new_champion(served: Served, tmp_path: Path):
    write_rows(tmp_path / "incoming" / "first.parquet", "binary", rows=2000)
    train = {"data": {"source": str(tmp_path / "incoming")}, "runs_folder": str(tmp_path / "runs")}
    config = {"model": "toy", "models_folder": str(tmp_path / "models"), "train": train}

    run = served.start("retrain/nightly", config)

    served.wait_for(run, "Promoted")
    (report,) = [artifact for artifact in served.artifacts(run) if artifact["key"].startswith("decision-")]
    assert report["data"].startswith("# Promoted")
    assert "auroc of a constant guess" in report["data"]
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
