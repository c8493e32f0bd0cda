"""CPU seconds of the whole classic job (1000 rows x 10 features, five epochs), all its processes included.

A first run has an empty Prefect home; a rerun finds everything as it was. `own server` is one that the process starts
for itself, `running server` one that serves all contenders. DVC and Metaflow need none; Metaflow knows no unchanged rerun
and does all again.
"""

import itertools
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.measure import Comparison, Measurement, Target, compare, cost_of, save
from unbroken.data import sample

ROUNDS = 3
KINDS = {"bare Prefect": "prefect", "plain script": "plain"}
OTHERS = ("DVC", "Metaflow")
PEERS = Path(".venv-bench/bin").absolute()
DVC_FILES: dict[str, tuple[list[str], list[str]]] = {
    "load_data": (["rows.parquet"], []),
    "preprocess": (["rows.parquet"], ["scaled.parquet"]),
    "split": (["scaled.parquet"], ["train.parquet", "test.parquet"]),
    "train": (["train.parquet"], ["last.pth"]),
    "save_checkpoint": (["last.pth"], ["checkpoint.pth"]),
    "load_checkpoint": (["checkpoint.pth", "test.parquet"], []),
}
"""What each stage reads and writes."""
WAIT_SECONDS = 180


def command_of(name: str, folder: Path) -> list[str]:
    """Return the command that runs the job in a folder."""
    source = str(folder / "rows.parquet")
    if name == "Unbroken":
        settings = {"data.source": source, "training.batch_size": "32", "model.options": '{"hidden": [32]}'}
        arguments = [word for key, value in settings.items() for word in (f"--{key}", value)]
        return [sys.executable, "-m", "flows.train", "--runs_folder", str(folder / "runs"), *arguments]
    if name == "DVC":
        return [str(PEERS / "dvc"), "--cd", str(folder), "repro", "--quiet"]
    if name == "Metaflow":
        return [str(PEERS / "python"), "-m", "benchmarks.metaflow_job", "--quiet", "run", "--folder", str(folder)]
    return [sys.executable, "-m", "benchmarks.classic", KINDS[name], str(folder)]


def prepared(name: str, folder: Path) -> Path:
    """Return a new folder with the rows in it, and what DVC has to be told."""
    folder.mkdir(parents=True)
    sample.write(folder / "rows.parquet")
    if name == "DVC":
        command = f"{sys.executable} -m benchmarks.classic"
        stages = {
            stage: {"cmd": f"{command} {stage} {folder}", "deps": deps, "outs": outs}
            for stage, (deps, outs) in DVC_FILES.items()
        }
        (folder / "dvc.yaml").write_text(json.dumps({"stages": stages}))
        subprocess.run([PEERS / "dvc", "init", "--no-scm", "--quiet"], cwd=folder, check=True)
    return folder


def cpu_seconds(name: str, folder: Path, api: str | None, home: Path) -> float:
    """Run the job once."""
    variables = dict(os.environ) | {"PREFECT_HOME": str(home), "PREFECT_LOGGING_LEVEL": "ERROR"}
    variables |= {"PYTHONPATH": str(Path.cwd()), "DVC_NO_ANALYTICS": "1", "METAFLOW_USER": "benchmark"}
    variables |= {"METAFLOW_DATASTORE_SYSROOT_LOCAL": str(folder), "METAFLOW_HOME": str(home)}
    variables |= {"PREFECT_API_URL": api} if api else {"PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180"}
    return cost_of(command_of(name, folder), environment=variables).cpu_seconds


def first_run(name: str, root: Path, api: str | None) -> Measurement:
    """Return what runs the job in a new folder each time."""
    number = itertools.count()

    def measure() -> float:
        folder = prepared(name, root / f"{name} {next(number)}".replace(" ", "-"))
        return cpu_seconds(name, folder, api, folder / "home")

    return measure


def rerun(name: str, root: Path, api: str | None) -> Measurement:
    """Return what runs the job again and again in one folder; the warm-up is its first run."""
    folder = prepared(name, root / name.replace(" ", "-"))
    return lambda: cpu_seconds(name, folder, api, folder / "home")


@contextmanager
def running_server(folder: Path) -> Generator[str]:
    """Yield the URL of a Prefect server."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    variables = os.environ | {"PREFECT_HOME": str(folder / "server")}
    command = [sys.executable, "-m", "prefect", "server", "start", "--port", str(port), "--no-services"]
    server = subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        api = f"http://127.0.0.1:{port}/api"
        _await(f"{api}/health")
        yield api
    finally:
        server.terminate()
        server.wait()


def _await(url: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not _answers(url):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{url}: no answer in {WAIT_SECONDS} s")
        time.sleep(0.5)


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url).close()
    except (urllib.error.URLError, ConnectionError):
        return False
    return True


def contest(
    what: str, kind: Callable[[str, Path, str | None], Measurement], ratio: float, root: Path, api: str | None
) -> Comparison:
    """Run all contenders."""
    names = ("Unbroken", *KINDS, *(() if api else OTHERS))
    contenders = {name: kind(name, root / what.replace(" ", "-"), api) for name in names}
    warm_up = kind is rerun
    targets = {"bare Prefect": Target(at_most=ratio)}
    return compare(what, "CPU s", contenders, rounds=ROUNDS, warm_up=warm_up, targets=targets)


def main() -> None:
    """Run every contest and keep the results."""
    with tempfile.TemporaryDirectory() as kept:
        root = Path(kept)
        contests = [contest("first run, own server", first_run, 0.75, root, None)]
        contests.append(contest("unchanged rerun, own server", rerun, 0.5, root, None))
        with running_server(root) as api:
            contests.append(contest("first run, running server", first_run, 0.75, root, api))
            contests.append(contest("unchanged rerun, running server", rerun, 0.5, root, api))
        save("jobs", contests)


if __name__ == "__main__":
    main()
