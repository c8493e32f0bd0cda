"""A copy of the project, served as a person serves it: real server, worker, automations and deployments."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx

from tests.server import free_port

PATIENCE = 400.0
PARTS = ("flows", "tasks", "unbroken", "deploy")


@dataclass(frozen=True)
class Served:
    """What `make serve` started in a folder."""

    folder: Path
    environment: dict[str, str]
    api: str

    @classmethod
    def copy_of(cls, project: Path, folder: Path) -> "Served":
        """Copy the project to a folder, to be served at a free port with a database of its own."""
        for part in PARTS:
            shutil.copytree(project / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "prefect.yaml"):
            shutil.copy(project / name, folder)
        port = str(free_port())
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")} | {
            "PREFECT_HOME": str(folder / "prefect"),
            "PREFECT_SERVER_API_PORT": port,
            "PREFECT_WORKER_QUERY_SECONDS": "2",
        }
        return cls(folder, environment, f"http://127.0.0.1:{port}/api")

    def deploy(self, command: str) -> str:
        """Run `python -m deploy COMMAND` and return what it prints."""
        process = subprocess.run(
            [sys.executable, "-m", "deploy", command],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert process.returncode == 0, process.stdout + process.stderr
        return process.stdout

    @contextmanager
    def edited(self, module: str, old: str, new: str) -> Generator[None]:
        """Let the served copy of the library be another one for a while: a text in a module is replaced."""
        path = self.folder / "unbroken" / module
        source = path.read_text()
        assert source.count(old) == 1
        path.write_text(source.replace(old, new))
        try:
            yield
        finally:
            path.write_text(source)

    def start(self, deployment: str, config: dict[str, Any], **job_variables: Any) -> UUID:
        """Start a deployment as the form in the UI does and return the id of the flow run."""
        deployment_id = self.ask("GET", f"/deployments/name/{deployment}")["id"]
        body = {"parameters": {"config": config}, "job_variables": job_variables, "idempotency_key": uuid4().hex}
        return UUID(self.ask("POST", f"/deployments/{deployment_id}/create_flow_run", body)["id"])

    def runs_of(self, deployment: str) -> list[dict[str, Any]]:
        """Return the flow runs of a deployment."""
        deployment_id = self.ask("GET", f"/deployments/name/{deployment}")["id"]
        return self.ask("POST", "/flow_runs/filter", {"deployments": {"id": {"any_": [deployment_id]}}})

    def artifacts(self, run: UUID) -> list[dict[str, Any]]:
        """Return what a flow run shows."""
        return self.ask("POST", "/artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [str(run)]}}})

    def logs(self, run: UUID) -> list[str]:
        """Return what a flow run logged."""
        filtered = {"logs": {"flow_run_id": {"any_": [str(run)]}}, "limit": 200}
        return [entry["message"] for entry in self.ask("POST", "/logs/filter", filtered)]

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the events of a name."""
        return self.ask("POST", "/events/filter", {"filter": {"event": {"name": [name]}}})["events"]

    def cancel(self, run: UUID) -> None:
        """Cancel a flow run as the button in the UI does."""
        state = {"type": "CANCELLING", "name": "Cancelling"}
        self.ask("POST", f"/flow_runs/{run}/set_state", {"state": state})

    def submitting(self, run: UUID) -> None:
        """Say that a flow run is being submitted, as a worker does before it starts a process."""
        self.ask("POST", f"/flow_runs/{run}/set_state", {"state": {"type": "PENDING", "name": "Submitting"}})

    def suspend(self, run: UUID) -> None:
        """Suspend a flow run as the button in the UI does."""
        timeout = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        details = {"pause_timeout": timeout, "pause_reschedule": True}
        state = {"type": "PAUSED", "name": "Suspended", "state_details": details}
        self.ask("POST", f"/flow_runs/{run}/set_state", {"state": state})

    def resume(self, run: UUID) -> None:
        """Resume a suspended flow run as the button in the UI does."""
        self.ask("POST", f"/flow_runs/{run}/resume", {})

    def state(self, run: UUID) -> dict[str, Any]:
        """Return the present state of a flow run."""
        return self.ask("GET", f"/flow_runs/{run}")["state"]

    def states(self, run: UUID) -> list[str]:
        """Return the names of all states that a flow run had, in order."""
        states = self.ask("GET", f"/flow_run_states/?flow_run_id={run}")
        return [state["name"] for state in sorted(states, key=lambda state: state["timestamp"])]

    def wait_for(self, run: UUID, *names: str) -> dict[str, Any]:
        """Return the state of a flow run as soon as it has one of the names."""

        def reached() -> dict[str, Any] | None:
            state = self.state(run)
            return state if state["name"] in names else None

        return self.eventually(reached, f"{names} of {run}")

    def eventually(self, look: Callable[[], Any], what: str) -> Any:
        """Return what a look finds, as soon as it finds something."""
        deadline = time.monotonic() + PATIENCE
        while not (result := look()):
            assert time.monotonic() < deadline, f"waited for {what}\n{self._worker_log()}"
            time.sleep(0.1)
        return result

    def kill(self, what: str, run: UUID | None = None) -> None:
        """Kill the server, the worker, or the supervisor or engine of a flow run with SIGKILL."""
        service = self.folder / ".serve" / f"{what}.pid"
        os.kill(int(service.read_text()) if run is None else process_of(what, run), signal.SIGKILL)

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Return what the API answers; as Prefect's own client does, ask again while its database is locked."""

        def answered() -> httpx.Response | None:
            try:
                answer = httpx.request(method, f"{self.api}{path}", json=body, timeout=90)
            except httpx.TimeoutException:
                return None
            return None if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE else answer

        answer = self.eventually(answered, f"{method} {path}")
        assert answer.is_success, answer.text
        return answer.json()

    def _worker_log(self) -> str:
        return (self.folder / ".serve" / "worker.log").read_text()[-4000:]


def process_of(what: str, run: UUID) -> int:
    """Return the number of the process that is the supervisor or the engine of a flow run."""
    (number,) = _processes({"supervisor": b"flow-run\0execute", "engine": b"prefect.engine"}[what], run)
    return number


def engine_runs(run: UUID) -> bool:
    """Tell whether a flow run has an engine."""
    return bool(_processes(b"prefect.engine", run))


def events(runs: Path) -> list[dict[str, Any]]:
    """Return the events of the only training in a folder, as far as they are written."""
    lines = [line for path in runs.glob("*/journal.jsonl") for line in path.read_text().splitlines(keepends=True)]
    return [json.loads(line) for line in lines if line.endswith("\n")]


def _processes(part: bytes, run: UUID) -> list[int]:
    numbers = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    mine = f"PREFECT__FLOW_RUN_ID={run}".encode()
    return [number for number in numbers if part in _read(number, "cmdline") and mine in _read(number, "environ")]


def _read(number: int, what: str) -> bytes:
    try:
        return Path(f"/proc/{number}/{what}").read_bytes()
    except OSError:  # it ended meanwhile
        return b""
