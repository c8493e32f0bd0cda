"""What the UI shows, in a real browser; the pages are kept as `tests/flow/screenshots/*.png`. Needs Chromium."""

from pathlib import Path
from uuid import UUID

import pytest

from tests.contract import write_rows
from tests.flow import browser
from tests.flow.served import Served

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

KEPT = Path(__file__).parent / "screenshots"


def shown(served: Served, path: str, name: str) -> str:
    """Log in, keep a page as a picture and return its words."""
    with browser.page() as page:
        page.open(served.page(path))
        page.log_in(served.secret)
        page.keep(KEPT / f"{name}.png")
        return page.words()


def test_nothing_is_shown_to_whoever_does_not_know_the_secret(served: Served):
    with browser.page() as page:
        page.open(served.page("deployments"))
        page.keep(KEPT / "login.png")
        assert "/login" in page.url()
        page.log_in("unbroken:wrong")
        refused, place = page.words(), page.url()
        page.open(served.page("deployments"))
        page.log_in(served.secret)
        page.keep(KEPT / "deployments.png")
        let_in = page.words()

    assert "/login" in place
    assert served.project not in refused
    assert f"{served.project}-nightly" in let_in


def report_of(served: Served, run: UUID, kind: str) -> str:
    """Return the page of a report of a flow run."""
    (report,) = [artifact for artifact in served.artifacts(run) if artifact["key"].startswith(kind)]
    return f"artifacts/artifact/{report['id']}"


def test_a_retraining_shows_its_stages_its_log_and_its_decision(served: Served, tmp_path: Path):
    write_rows(tmp_path / "in" / "2024-01.parquet", "binary", rows=2000)
    train = {"data": {"source": str(tmp_path / "in")}, "runs_folder": str(tmp_path / "runs")}
    config = {"model": "toy", "models_folder": str(tmp_path / "models"), "train": train}
    served.wait_for(served.start("retrain/nightly", config), "Promoted")
    write_rows(tmp_path / "in" / "2024-02.parquet", "binary", rows=2000, seed=1)
    run = served.start("retrain/nightly", config)
    name = served.wait_for(run, "Promoted", "Kept")["name"]
    served.eventually(lambda: [line for line in served.logs(run) if "new rows judge" in line], "the log")

    page = shown(served, f"runs/flow-run/{run}", "retrain")
    decision = shown(served, report_of(served, run, "decision-"), "decision")
    (training,) = served.ask("POST", "/flow_runs/filter", {"flow_runs": {"parent_flow_run_id": {"any_": [str(run)]}}})
    report = shown(served, report_of(served, UUID(training["id"]), "report-"), "report")

    assert name in page
    assert "400 new rows judge, 1,600 new and 800 older train" in page
    assert [part in decision for part in ("auroc of champion", "PSI", "number_0", "champion before")] == [True] * 4
    assert [part in report for part in ("5 epochs", "checkpoint saved", "Curves", "data SHA-256")] == [True] * 4


def test_a_run_that_has_nothing_to_do_shows_it(served: Served, tmp_path: Path):
    write_rows(tmp_path / "in" / "2024-01.parquet", "binary", rows=800)
    train = {"data": {"source": str(tmp_path / "in")}, "runs_folder": str(tmp_path / "runs")}
    config = {"model": "idle", "models_folder": str(tmp_path / "models"), "train": train}
    served.wait_for(served.start("retrain/nightly", config), "Promoted")
    run = served.start("retrain/nightly", config)
    served.wait_for(run, "Skipped")

    assert "Skipped" in shown(served, f"runs/flow-run/{run}", "skipped")


def test_the_form_of_a_deployment_shows_each_setting_with_its_help(served: Served):
    found = served.deployment("train/by-hand")

    page = shown(served, f"deployments/deployment/{found['id']}/run", "form")

    assert "How the weights are updated." in page
