"""The database of what `serve` starts: SQLite unless one says otherwise, PostgreSQL by its URL, kept no longer than asked for."""

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.flow.conftest import ROOT
from tests.flow.postgres import IN_URL, PASSWORD, ask, postgres, programs
from tests.flow.served import Served
from tests.flow.test_self_resume import RUNS, slow_training, undisturbed, wait_for_attempt
from tests.server import free_port
from unbroken.deployment.database import connection_url, shown
from unbroken.deployment.server_settings import ServerSettings, without_database
from unbroken.errors import ConfigError

pytestmark = pytest.mark.timeout(900)

SECRET = "postgresql://user:secret@db.example:5433/runs?ssl=require"


@pytest.mark.parametrize("spelling", ["postgres", "postgresql", "postgresql+asyncpg"])
def test_a_postgresql_is_named_by_the_url_that_everyone_uses(spelling: str):
    url = SECRET.replace("postgresql", spelling)

    assert connection_url(url) == "postgresql+asyncpg://user:secret@db.example:5433/runs?ssl=require"
    assert shown(url) == "postgresql://db.example:5433/runs"


@pytest.mark.parametrize(
    "wrong",
    [
        "mysql://user:secret@host/runs",
        "postgresql://user:secret@host",
        "secret",
        "",
        "postgresql+psycopg://user:secret@host/runs",
    ],
)
def test_what_is_no_database_for_prefect_is_refused_without_a_word_of_its_credentials(wrong: str):
    with pytest.raises(ConfigError, match="expected sqlite or postgresql://HOST:PORT/NAME") as error:
        ServerSettings(database=wrong)

    assert "secret" not in str(error.value)


@pytest.mark.parametrize("days", [0, -1])
def test_runs_are_kept_for_a_day_at_least(days: int):
    with pytest.raises(ConfigError, match=f"--keep-days: found {days}, expected a number of days from 1 on"):
        ServerSettings(keep_days=days)


def test_the_settings_of_a_server_are_read_by_their_owner_alone_and_shown_without_the_password(tmp_path: Path):
    settings = ServerSettings(SECRET, 90)

    settings.write(tmp_path / ".serve" / "server.json")

    assert stat.S_IMODE((tmp_path / ".serve" / "server.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / ".serve").stat().st_mode) == 0o700
    assert ServerSettings.read(tmp_path / ".serve" / "server.json") == settings
    assert str(settings) == "database postgresql://db.example:5433/runs, 90 days kept"
    assert "secret" not in repr(settings)


def test_only_the_server_knows_the_password_of_its_database(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PREFECT_API_DATABASE_CONNECTION_URL", "postgresql+asyncpg://other:word@host/runs")

    variables = ServerSettings(SECRET).environment()

    assert variables["PREFECT_SERVER_DATABASE_CONNECTION_URL"] == connection_url(SECRET)
    assert not {name for name, value in variables.items() if "other:word" in value}
    assert not {name for name, value in without_database(variables).items() if "secret" in value}


def serve(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `unbroken serve` in a project."""
    for name in ("prefect.yaml", "flows", "tasks"):
        with suppress(FileExistsError):
            (folder / name).symlink_to(ROOT / name)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment |= {"PREFECT_HOME": str(folder / "prefect"), "PREFECT_SERVER_API_PORT": str(free_port())} | variables
    command = [Path(sys.executable).with_name("unbroken"), "serve", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=300
    )


def assert_refused(process: subprocess.CompletedProcess[str], folder: Path, *words: str) -> None:
    """Demand one paragraph that says what is wrong, no secret, and nothing started or stored."""
    assert process.returncode == 2, process.stderr
    assert len(process.stderr.splitlines()) == 1
    assert process.stderr.startswith("error: postgresql://127.0.0.1:")
    assert [word for word in (*words, "Nothing was started") if word not in process.stderr] == []
    assert "secret" not in process.stdout + process.stderr
    assert not (folder / ".serve").exists()


@pytest.mark.slow
def test_a_database_that_does_not_answer_is_one_paragraph_and_nothing_is_started(tmp_path: Path):
    url = f"postgresql://user:secret@127.0.0.1:{free_port()}/runs"

    assert_refused(serve(tmp_path, "--database", url), tmp_path, "no PostgreSQL answers there")
    assert_refused(serve(tmp_path, PREFECT_API_DATABASE_CONNECTION_URL=url), tmp_path, "no PostgreSQL answers there")


@pytest.fixture(scope="module")
def port() -> Generator[int]:
    """Return the port of a PostgreSQL."""
    if (folder := programs()) is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    with postgres(folder) as port:
        yield port


@pytest.mark.slow
def test_a_password_or_name_that_the_database_does_not_know_is_one_paragraph(port: int, tmp_path: Path):
    for user, name, reason in (
        ("unbroken:secret@", "runs", "it refuses user or password"),
        ("nobody:secret@", "runs", "it refuses user or password"),
        (IN_URL, "others", "it has no database of that name"),
    ):
        url = f"postgresql://{user}127.0.0.1:{port}/{name}"
        assert_refused(serve(tmp_path, "--database", url), tmp_path, reason)


@pytest.mark.slow
def test_runs_on_a_postgresql_survive_the_death_of_engine_and_server(port: int, tmp_path: Path):
    served = Served.copy_of(ROOT, tmp_path / "project")
    url = f"postgresql://{IN_URL}127.0.0.1:{port}/runs"
    try:
        printed = served.deploy("serve", "--database", url)
        run = served.start(RUNS, slow_training(tmp_path / "runs"))
        wait_for_attempt(served, 1, tmp_path / "runs")
        served.kill("engine", run)
        wait_for_attempt(served, 2, tmp_path / "runs")
        served.kill("server")
        printed += served.deploy("serve")  # it remembers the database
        state = served.wait_for(run, "Completed", "Failed", "GaveUp")
    finally:
        printed += served.deploy("stop")

    assert state["name"] == "Completed"
    (published,) = (tmp_path / "runs").glob("*/checkpoint.pth")
    assert published.read_bytes() == undisturbed(tmp_path / "undisturbed")
    assert ask(port, f"select state_name from flow_run where id = '{run}'") == "Completed"
    assert not list((tmp_path / "project").rglob("*.db"))
    assert f"database postgresql://127.0.0.1:{port}/runs" in printed
    logs = [path.read_text() for path in (tmp_path / "project" / ".serve").glob("*.log")]
    assert not [text for text in (printed, *logs) if PASSWORD in text or IN_URL in text]


@pytest.mark.slow
def test_runs_that_ended_longer_ago_than_asked_for_go_with_logs_and_events_and_younger_ones_stay(tmp_path: Path):
    served = Served.copy_of(ROOT, tmp_path / "project")
    runs = {}
    try:
        served.deploy("serve", "--keep-days", "3")
        for name in ("old", "young"):
            runs[name] = served.start(RUNS, slow_training(tmp_path / name, epochs=1))
        for run in runs.values():
            served.wait_for(run, "Completed")
            served.eventually(lambda run=run: served.logs(run), "the log")
        served.eventually(lambda: len(served.events("prefect.flow-run.Completed")) == 2, "the events")
        served.deploy("stop")
        _age(tmp_path / "project" / ".serve" / "prefect.db", runs["old"].hex, days=4)
        printed = served.deploy("serve")
        left = lambda: [run["id"] for run in served.runs_of(RUNS)]  # noqa: E731
        served.eventually(lambda: left() == [str(runs["young"])], "the end of the old run")
        served.eventually(lambda: len(served.events("prefect.flow-run.Completed")) == 1, "the end of its events")
        served.eventually(lambda: not served.logs(runs["old"]), "the end of its log")

        assert "3 days kept" in printed
        assert served.logs(runs["young"])
        assert served.artifacts(runs["young"])
        assert not served.artifacts(runs["old"])
    finally:
        served.deploy("stop")


def _age(database: Path, run: str, days: int) -> None:
    """Move the end and the events of a run into the past."""
    past = f"strftime('%Y-%m-%d %H:%M:%f000', 'now', '-{days} days')"
    with sqlite3.connect(database) as connection:
        named = f"replace(id, '-', '') = '{run}'"
        assert connection.execute(f"update flow_run set end_time = {past} where {named}").rowcount == 1
        resource = f"'%prefect.flow-run.' || (select id from flow_run where {named})"
        connection.execute(f"update events set occurred = {past} where resource_id like {resource}")
        connection.execute(
            f"update event_resources set occurred = {past} where event_id in (select id from events where occurred = {past})"
        )
