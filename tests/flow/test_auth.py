"""What `serve` starts answers to those who know its secret, and to nobody else."""

import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from tests.contract import write_rows
from tests.flow.served import Served

pytestmark = pytest.mark.timeout(600)


@pytest.mark.parametrize("secret", [None, "unbroken:wrong", "unbroken:", ":"])
def test_the_api_refuses_whoever_does_not_know_the_secret(secret: str | None, served: Served):
    user, _, password = (secret or "").partition(":")
    auth = httpx.BasicAuth(user, password) if secret else None
    asked = [
        httpx.request(method, f"{served.api}{path}", json={}, auth=auth).status_code
        for method, path in (
            ("GET", "/admin/settings"),
            ("POST", "/deployments/filter"),
            ("POST", "/events"),
            ("POST", "/events/filter"),
            ("DELETE", f"/work_pools/{served.project}"),
            ("GET", "/csrf-token?client=x"),
        )
    ]

    assert asked == [401] * 6
    assert served.ask("POST", "/deployments/filter", {})


@pytest.mark.parametrize("path", ["events/in", "events/out", "logs/out"])
def test_the_streams_of_events_and_logs_refuse_whoever_does_not_know_the_secret(path: str, served: Served):
    url = f"{served.api.replace('http', 'ws')}/{path}"

    with pytest.raises((ConnectionClosed, InvalidHandshake)), connect(url, proxy=None) as socket:
        socket.recv(30)
    with connect(url, proxy=None, subprotocols=[Subprotocol("prefect")]) as socket:
        socket.send('{"type": "auth", "token": "unbroken:wrong"}')
        with pytest.raises(ConnectionClosed):
            socket.recv(30)
    with connect(url, proxy=None, subprotocols=[Subprotocol("prefect")]) as socket:
        socket.send(f'{{"type": "auth", "token": "{served.secret}"}}')
        assert "auth_success" in str(socket.recv(30))


def test_only_the_owner_reads_the_secret_and_no_log_has_it(served: Served):
    state = served.folder / ".serve"

    assert (state / "auth").stat().st_mode & 0o777 == 0o600
    assert state.stat().st_mode & 0o777 == 0o700
    assert re.fullmatch(r"unbroken:[\w-]{32}", served.secret)
    assert not any(served.secret in path.read_text() for path in state.glob("*.log"))
    assert httpx.get(served.page("ui-settings")).json()["auth"] == "BASIC"


def test_a_page_of_another_site_may_not_ask(served: Served):
    def allowed(origin: str) -> str | None:
        asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        return httpx.options(f"{served.api}/flows/", headers=asked).headers.get("access-control-allow-origin")

    own = served.api.removesuffix("/api")
    assert allowed(own) == own
    assert allowed("https://example.com") is None


@pytest.mark.slow
def test_the_printed_command_can_be_pasted(served: Served):
    printed = served.deploy("serve")

    done = served.paste(printed, "sample")

    assert served.secret not in printed
    assert done.returncode == 0, done.stdout + done.stderr
    assert "finished successfully" in done.stdout


@pytest.mark.slow
def test_the_commands_of_the_project_know_the_secret(served: Served, tmp_path: Path):
    write_rows(tmp_path / "rows.parquet", "binary")
    words = ["train", "--data.source", str(tmp_path / "rows.parquet"), "--training.epochs", "1"]
    command = [sys.executable, "-m", "unbroken", *words, "--runs_folder", str(tmp_path / "runs")]
    environment = served.environment | {"PREFECT_API_URL": served.api.replace("127.0.0.1", "localhost")}

    (tmp_path / "flows").symlink_to(served.folder / "flows")
    (tmp_path / "tasks").symlink_to(served.folder / "tasks")
    elsewhere = environment | {"PYTHONPATH": str(served.folder)}
    foreign = subprocess.run(command, cwd=tmp_path, env=elsewhere, capture_output=True, text=True, check=False)
    own = subprocess.run(command, cwd=served.folder, env=environment, capture_output=True, text=True, check=False)

    assert own.returncode == 0, own.stderr
    runs = served.ask("POST", "/flow_runs/filter", {"flow_runs": {"deployment_id": {"is_null_": True}}})
    assert [run["name"] for run in runs if str(tmp_path) in run["name"] or "rows.parquet" in run["name"]]
    assert foreign.returncode == 2
    assert "credentials are missing or wrong: set PREFECT_API_AUTH_STRING" in foreign.stderr
