"""A copy of the project, served as a person serves it: real server, worker, healing and deployments."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx

from tests.server import free_port

PATIENCE = 400.0
LIVELY = {"UNBROKEN_HEARTBEAT": "2", "UNBROKEN_SILENCE": "20", "UNBROKEN_SUBMISSION": "90"}
"""Signs of life in quick succession, so that a test need not wait long for their absence."""
SERVICES = ("server", "worker", "healing")
PARTS = ("flows", "tasks", "unbroken", "deploy")
FOREIGN = ("PREFECT_", "UNBROKEN_")


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
        environment = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)} | {
            "PREFECT_HOME": str(folder / "prefect"),
            "PREFECT_SERVER_API_PORT": port,
            "PREFECT_WORKER_QUERY_SECONDS": "2",
            "PREFECT_WORKER_HEARTBEAT_SECONDS": "5",
            **LIVELY,
        }
        if database := os.environ.get("UNBROKEN_TEST_DATABASE"):
            environment["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = database
        return cls(folder, environment, f"http://127.0.0.1:{port}/api")

    @property
    def project(self) -> str:
        """The name of the project."""
        return self.environment.get("UNBROKEN_PROJECT", self.folder.name)

    @property
    def secret(self) -> str:
        """What its server asks for."""
        return (self.folder / ".serve" / "auth").read_text()

    def page(self, path: str) -> str:
        """Return where the UI shows something."""
        return f"{self.api.removesuffix('/api')}/{path}"

    def deploy(self, *words: str) -> str:
        """Run `python -m deploy ...` and return what it prints."""
        process = self.try_deploy(*words)
        assert process.returncode == 0, process.stdout + process.stderr
        return process.stdout

    def try_deploy(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run `python -m deploy ...`, which may refuse."""
        return subprocess.run(
            [sys.executable, "-m", "deploy", *words],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def paste(self, printed: str, source: str) -> subprocess.CompletedProcess[str]:
        """Run the command that `serve` printed in a shell elsewhere, with a source of rows."""
        (command,) = re.findall(r"^run      (.*) --watch$", printed, re.MULTILINE)
        parameter = json.dumps({"data": {"source": source}})
        environment = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        return subprocess.run(
            ["sh", "-c", f"{command} --watch --param 'config={parameter}'"],
            cwd="/",
            env=environment | {"PREFECT_HOME": self.environment["PREFECT_HOME"]},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def deployment(self, name: str) -> dict[str, Any]:
        """Return a deployment by its name in prefect.yaml, as `train/by-hand`."""
        flow, _, short = name.partition("/")
        return self.ask("GET", f"/deployments/name/{flow}/{self.project}-{short}")

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
        deployment_id = self.deployment(deployment)["id"]
        body = {"parameters": {"config": config}, "job_variables": job_variables, "idempotency_key": uuid4().hex}
        return UUID(self.ask("POST", f"/deployments/{deployment_id}/create_flow_run", body)["id"])

    def runs_of(self, deployment: str) -> list[dict[str, Any]]:
        """Return the flow runs of a deployment."""
        deployment_id = self.deployment(deployment)["id"]
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
        """Return the state of a flow run as soon as it has one of the names; fail once it is completed under another."""

        def reached() -> dict[str, Any] | None:
            state = self.state(run)
            if state["name"] in names:
                return state
            assert state["type"] != "COMPLETED", f"found {state['name']} of {run}, expected {names}"
            return None

        return self.eventually(reached, f"{names} of {run}")

    def eventually(self, look: Callable[[], Any], what: str) -> Any:
        """Return what a look finds, as soon as it finds something."""
        deadline = time.monotonic() + PATIENCE
        while not (result := look()):
            assert time.monotonic() < deadline, f"waited for {what}\n{self._worker_log()}"
            time.sleep(0.1)
        return result

    def kill(self, what: str, run: UUID | None = None) -> None:
        """Kill the server, the worker, the healing, or the supervisor or engine of a flow run with SIGKILL."""
        kill([self.process(what)] if run is None else processes_of(what, run))

    def kill_processes(self, run: UUID) -> None:
        """Kill supervisor and engine of a flow run at once."""
        kill([*processes_of("supervisor", run), *processes_of("engine", run)])

    def kill_machine(self, run: UUID) -> None:
        """Kill server, worker, healing, and supervisor and engine of a flow run at once, so that none can tell of another."""
        runs = [*processes_of("supervisor", run), *processes_of("engine", run)]
        groups = [self.process(service) for service in SERVICES]
        for process in (*runs, *groups):
            os.kill(process, signal.SIGSTOP)
        kill(runs)
        for group in groups:
            os.killpg(group, signal.SIGKILL)

    def process(self, service: str) -> int:
        """Return the number of the process of a service."""
        return int((self.folder / ".serve" / f"{service}.pid").read_text())

    def close(self) -> None:
        """End all that was started, whatever state it is in."""
        try:
            self.deploy("stop")
        finally:
            homes = {f"PREFECT_HOME={self.folder / name}".encode() for name in ("prefect", ".serve")}
            for number in _numbers():
                if homes & set(_read(number, "environ").split(b"\0")):
                    with suppress(ProcessLookupError):
                        os.kill(number, signal.SIGKILL)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Return what the API answers to what it takes."""
        answer = self.try_to_ask(method, path, body)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def try_to_ask(self, method: str, path: str, body: Any = None) -> httpx.Response:
        """Return the answer of the API; as Prefect's own client does, ask again while its database is locked."""
        user, _, password = self.secret.partition(":")
        auth = httpx.BasicAuth(user, password)

        def answered() -> httpx.Response | None:
            try:
                answer = httpx.request(method, f"{self.api}{path}", json=body, auth=auth, timeout=90)
            except httpx.TimeoutException:
                return None
            return None if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE else answer

        return self.eventually(answered, f"{method} {path}")

    def _worker_log(self) -> str:
        return (self.folder / ".serve" / "worker.log").read_text()[-4000:]


def engine_runs(run: UUID) -> bool:
    """Tell whether a flow run has an engine."""
    return bool(processes_of("engine", run))


def events(runs: Path) -> list[dict[str, Any]]:
    """Return the events of the only training in a folder, as far as they are written."""
    lines = [line for path in runs.glob("*/journal.jsonl") for line in path.read_text().splitlines(keepends=True)]
    return [json.loads(line) for line in lines if line.endswith("\n")]


def kill(numbers: list[int]) -> None:
    """Kill processes, of which there must be one; one may still be ending while another has begun."""
    assert numbers
    for number in numbers:
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)


def processes_of(what: str, run: UUID) -> list[int]:
    """Return the numbers of the processes that are supervisors or engines of a flow run."""
    part = {"supervisor": b"flow-run\0execute", "engine": b"prefect.engine"}[what]
    mine = f"PREFECT__FLOW_RUN_ID={run}".encode()
    return [number for number in _numbers() if part in _read(number, "cmdline") and mine in _read(number, "environ")]


def _numbers() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _read(number: int, what: str) -> bytes:
    try:
        return Path(f"/proc/{number}/{what}").read_bytes()
    except OSError:  # it ended meanwhile
        return b""
