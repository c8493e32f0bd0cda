"""What cannot be served is said in one paragraph, at once, and nothing is started."""

import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_SERVER_API_PORT, temporary_settings

from tests.server import free_port
from unbroken.cli.main import answer

ROOT = Path(__file__).parents[3]
READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Path]:
    """Return the folder of a project that is never served, and go there, where no server is named."""
    folder = tmp_path / "mine"
    folder.mkdir()
    shutil.copy(ROOT / "prefect.yaml", folder)
    for name in ("UNBROKEN_PROJECT", "PWD", "PREFECT_API_URL", "PREFECT_API_AUTH_STRING", "NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "")  # so that it is put back as it was, whoever sets it
        monkeypatch.delenv(name)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(folder)
    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        yield folder


@contextmanager
def answering(status: int, content: str) -> Generator[int]:
    """Answer all questions at a port alike."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(content.encode())

        def log_message(self, format: str, *args: Any) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def refusal(project: Path, capsys: pytest.CaptureFixture[str], *words: str, settings: dict[Any, Any]) -> str:
    """Return what `unbroken serve` says on refusing."""
    with temporary_settings(settings):
        assert answer(["serve", *words]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert_nothing_started(said.err, project)
    return said.err


def assert_nothing_started(said: str, project: Path) -> None:
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert "Traceback" not in said
    assert [path.name for path in project.glob(".serve/*")] == []


def test_another_program_on_the_port_is_told_from_a_server(project: Path, capsys: pytest.CaptureFixture[str]):
    with answering(200, "<html>hello</html>") as port:
        said = refusal(project, capsys, settings={PREFECT_SERVER_API_PORT: port})

    assert f"http://127.0.0.1:{port}/api: found another program on that port, expected a free one" in said
    assert "unbroken serve --port " in said
    assert "PREFECT_SERVER_API_PORT" in said


def test_a_program_that_speaks_no_http_is_another_program(project: Path, capsys: pytest.CaptureFixture[str]):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]

        def hang_up() -> None:
            listening.accept()[0].close()

        threading.Thread(target=hang_up, daemon=True).start()
        said = refusal(project, capsys, "--port", str(port), settings={})

    assert "found another program on that port" in said


def test_a_server_that_this_project_did_not_start_is_recognised(project: Path, capsys: pytest.CaptureFixture[str]):
    with answering(200, "true") as port:  # what Prefect answers at /api/health
        said = refusal(project, capsys, "--port", str(port), settings={})

    assert "found a Prefect server there that `unbroken serve` did not start in this folder" in said
    assert f"PREFECT_API_URL=http://127.0.0.1:{port}/api unbroken serve" in said
    assert "PREFECT_API_AUTH_STRING" in said


def test_a_server_that_is_named_and_dead_is_told(project: Path, capsys: pytest.CaptureFixture[str]):
    url = f"http://127.0.0.1:{free_port()}/api"

    said = refusal(project, capsys, settings={PREFECT_API_URL: url})

    assert f"{url}: no Prefect server can be used there: " in said
    assert "to let `unbroken serve` start one" in said


def test_a_server_that_asks_for_a_secret_is_told(project: Path, capsys: pytest.CaptureFixture[str]):
    with answering(401, "Unauthorized") as port:
        said = refusal(project, capsys, settings={PREFECT_API_URL: f"http://127.0.0.1:{port}/api"})

    assert "credentials are missing or wrong: set PREFECT_API_AUTH_STRING" in said


def test_options_of_a_server_are_refused_beside_one_that_is_named(project: Path, capsys: pytest.CaptureFixture[str]):
    url = "http://user:secret@127.0.0.1:4200/api"

    said = refusal(project, capsys, "--no-auth", settings={PREFECT_API_URL: url})

    assert (
        "PREFECT_API_URL: found http://127.0.0.1:4200/api, expected none beside --port, --no-auth, --database and --keep-days"
        in said
    )


@pytest.mark.parametrize("port", ["0", "65536", "x"])
def test_what_is_no_port_is_refused(port: str, project: Path, capsys: pytest.CaptureFixture[str]):
    assert f"port: found {port}" in refusal(project, capsys, "--port", port, settings={}).replace("'", "")


def test_a_flow_that_cannot_be_imported_is_told_before_anything_starts(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    text = (project / "prefect.yaml").read_text()
    (project / "prefect.yaml").write_text(text.replace("flows.train.train", "no_such_flows.train"))

    said = refusal(project, capsys, "--port", str(free_port()), settings={})

    assert "no_such_flows.train cannot be imported: ModuleNotFoundError" in said


def test_nothing_is_applied_without_a_server(project: Path, capsys: pytest.CaptureFixture[str]):
    assert answer(["apply"]) == 2

    assert "found no Prefect server to apply to, expected PREFECT_API_URL" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("folder", "says"),
    [("home", "Set PREFECT_HOME to a folder of your own"), ("mine", "Serve a copy of the project elsewhere")],
)
def test_a_folder_that_cannot_be_written_is_told_at_once(folder: str, says: str, project: Path, tmp_path: Path):
    (tmp_path / folder).mkdir(exist_ok=True)
    served = [sys.executable, "-m", "unbroken", "serve"]
    command = ["unshare", "--map-root-user", "--mount", "sh", "-c", READ_ONLY, str(tmp_path / folder), *served]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}

    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 2, done.stderr
    assert_nothing_started(done.stderr, project)
    assert f"{tmp_path / folder}" in done.stderr
    assert "cannot be written (Read-only file system)" in done.stderr
    assert says in done.stderr


@pytest.mark.parametrize("name", ["PREFECT_SERVER_API_PORT", "PREFECT_LOGGING_LEVEL"])
def test_settings_that_prefect_does_not_take_are_told(name: str, project: Path):
    environment = os.environ | {"PYTHONPATH": str(ROOT), name: "secret"}
    command = [sys.executable, "-m", "unbroken", "serve"]

    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert_nothing_started(done.stderr, project)
    assert "Prefect does not start with its settings: " in done.stderr
    assert "secret" not in done.stderr
