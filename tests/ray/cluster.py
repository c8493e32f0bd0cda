"""Ray clusters of some nodes on this machine, by the command that people start them with, and whose processes can be killed."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp

from tests.unit.parallel.ranks import PATIENCE

VARIABLES = {
    "RAY_AUTH_MODE": "disabled",  # else a token that this user may have is asked for
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_enable_worker_prestart": "0",  # two cores are slow at starting what is not needed
    "RAY_prestart_worker_first_driver": "0",
    "RAY_worker_niceness": "0",
    "RAY_agent_register_timeout_ms": "600000",
    "RAY_worker_register_timeout_seconds": "600",
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "600",
}
PORTS = (
    "runtime-env-agent",
    "dashboard-agent-grpc",
    "dashboard-agent-listen",
    "metrics-export",
    "node-manager",
    "object-manager",
)
STARTS = 5
"""Ray gives a node 30 seconds to start, which a busy machine exceeds."""


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@dataclass
class Node:
    """A node, which is a `ray start --block` and the processes that it started."""

    process: subprocess.Popen[bytes]

    @property
    def raylet(self) -> int:
        """The process id of its raylet; raise StopIteration while it has none."""
        return next(child for child in children_of(self.process.pid) if is_running(child, "raylet/raylet"))

    def kill(self, *programs: str) -> None:
        """End programs of it as nothing in it expects, the raylet if none is named."""
        for child in children_of(self.process.pid):
            if any(is_running(child, program) for program in programs or ["raylet/raylet"]):
                os.kill(child, signal.SIGKILL)

    def stop(self) -> None:
        """End all of its processes."""
        if self.process.poll() is None:
            family = [self.process.pid, *children_of(self.process.pid)]
            for number in family:
                kill_if_there(number)
        self.process.wait()


@dataclass
class Cluster:
    """A head, which trains nothing, and nodes that do."""

    port: int = field(default_factory=free_port)
    folder: str = field(default_factory=lambda: mkdtemp(prefix="ray-", dir="/tmp"))  # sockets have short paths
    nodes: list[Node] = field(default_factory=list)

    @property
    def address(self) -> str:
        """What `compute.address` takes."""
        return f"127.0.0.1:{self.port}"

    def start_head(self, cpus: int = 0) -> Node:
        """Start the head; it can be started again after its death."""
        own = ["--head", "--port", str(self.port), "--temp-dir", self.folder, "--include-dashboard", "false"]
        return self._start([*own, "--num-cpus", str(cpus), "--disable-usage-stats"])

    def start_node(self, cpus: int) -> Node:
        """Start a node."""
        return self._start(["--address", self.address, "--num-cpus", str(cpus)])

    def stop(self) -> None:
        """End all processes."""
        for node in reversed(self.nodes):
            node.stop()

    def _start(self, words: list[str]) -> Node:
        # A raylet that has to find ports of its own waits for them, and on a busy machine ends before they come.
        ports = [word for name in PORTS for word in (f"--{name}-port", str(free_port()))]
        ports += ["--min-worker-port", "0", "--max-worker-port", "0"]
        ray = Path(sys.executable).parent / "ray"
        command = [str(ray), "start", "--block", "--node-ip-address", "127.0.0.1", *ports, *words]
        for _ in range(STARTS):
            path = Path(self.folder, f"start-{len(self.nodes)}.log")
            with path.open("wb") as output:
                process = subprocess.Popen(
                    [*command, "--object-store-memory", str(100 * 2**20)],
                    env=os.environ | VARIABLES,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            self.nodes.append(node := Node(process))
            while process.poll() is None:
                if "Ray runtime started" in path.read_text():
                    return node
                time.sleep(0.2)
        raise AssertionError(path.read_text())


def children_of(parent: int) -> list[int]:
    """Return the process ids of the children of a process; none if it is gone."""
    try:
        paths = list(Path(f"/proc/{parent}/task").glob("*/children"))
        return sorted(int(word) for path in paths for word in path.read_text().split())
    except OSError:
        return []


def is_running(number: int, program: str) -> bool:
    """Tell whether a process lives and has a word in its command."""
    try:
        return program.encode() in Path(f"/proc/{number}/cmdline").read_bytes()
    except OSError:
        return False


def ranks_under(raylet: int) -> dict[int, int]:
    """Return the ranks that a raylet's workers have started, by their workers."""
    pairs = [(worker, rank) for worker in children_of(raylet) for rank in children_of(worker)]
    return {worker: rank for worker, rank in pairs if is_running(rank, "unbroken.engines.rank")}


def wait_until(done: Callable[[], object], what: str, patience: float = PATIENCE) -> None:
    """Wait for something to be so."""
    ended = time.monotonic() + patience
    while not done():
        assert time.monotonic() < ended, f"not within {patience:.0f} s: {what}"
        time.sleep(0.05)


def kill_if_there(number: int) -> None:
    """Kill a process unless it is gone."""
    try:
        os.kill(number, signal.SIGKILL)
    except ProcessLookupError:
        return
