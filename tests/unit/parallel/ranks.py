"""The command `unbroken train` as several ranks, started one by one as torchrun does."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[3]
PATIENCE = 240
"""Seconds after which a rank that has not ended is hanging."""

SETTINGS = {
    "checkpoint.every_steps": "7",
    "model.options": '{"hidden": [8, 8], "dropout": 0.2}',
    "training.batch_size": "36",
    "training.epochs": "2",
    "training.micro_batches": "4",
}


def command(settings: Mapping[str, str]) -> list[str]:
    """Return the command of a training without Prefect."""
    words = [word for name, value in (SETTINGS | dict(settings)).items() for word in (f"--{name}", value)]
    return [sys.executable, "-m", "unbroken", "train", "--no-orchestrator", *words]


def start(settings: Mapping[str, str], **variables: str) -> subprocess.Popen[str]:
    """Type the command."""
    return subprocess.Popen(
        command(settings),
        cwd=ROOT,
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def start_ranks(ranks: int, settings: Mapping[str, str]) -> list[subprocess.Popen[str]]:
    """Start a training by so many ranks, which meet at the first."""
    if ranks == 1:
        return [start(settings)]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    place = {"WORLD_SIZE": str(ranks), "LOCAL_WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return [start(settings, RANK=str(rank), **place) for rank in range(ranks)]


def end_of(processes: list[subprocess.Popen[str]]) -> tuple[list[int], list[str]]:
    """Wait for ranks, and return their exit codes and what they printed."""
    outputs = [process.communicate(timeout=PATIENCE)[0] for process in processes]
    return [process.returncode for process in processes], outputs


def finish(ranks: int, settings: Mapping[str, str]) -> bytes:
    """Let so many ranks train to the end, and return the checkpoint that is published."""
    codes, outputs = end_of(start_ranks(ranks, settings))
    assert codes == [0] * ranks, "\n".join(outputs)
    return published(Path(settings["runs_folder"]))


def published(folder: Path) -> bytes:
    """Return the published checkpoint of the one run in a folder."""
    (path,) = folder.glob("*/checkpoint.pth")
    return path.read_bytes()


def wait_for(folder: Path, epoch: int) -> None:
    """Wait until the one run in a folder has a checkpoint from inside an epoch after so many."""
    ended = time.monotonic() + PATIENCE
    while not any(int(path.name[6:10]) >= epoch for path in folder.glob("*/checkpoints/epoch-*-step-*.pth")):
        assert time.monotonic() < ended, f"no checkpoint in {folder}"
        time.sleep(0.005)


def ranks_of(parent: int) -> list[int]:
    """Return the process ids of the ranks that a process started on this machine, by their numbers."""
    children = Path(f"/proc/{parent}/task").glob("*/children")
    ids = sorted(int(word) for path in children for word in path.read_text().split())
    return [number for number in ids if b"unbroken.engines.rank" in Path(f"/proc/{number}/cmdline").read_bytes()]


def kill(number: int) -> None:
    """End a process as nothing in it expects."""
    os.kill(number, signal.SIGKILL)
