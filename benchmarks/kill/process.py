"""Run a training in a process of its own, and kill it where that is asked for."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from benchmarks.kill import task

KILLED_AT = 90
"""The step after which it is killed, in the middle of epoch 4."""
ENVIRONMENT = {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", "UNBROKEN_REPORT": "off"}


def command(script: str, folder: Path, every_steps: int | None, kill_at: int = 0) -> str | None:
    """Run a script in a process of its own; return the digest that it prints, None if it was killed as asked.

    Raises:
        RuntimeError: It ended otherwise.
    """
    words = [sys.executable, "-W", "ignore", "-m", f"benchmarks.kill.with_{script}", str(folder)]
    result = subprocess.run(
        [*words, *([str(every_steps)] if every_steps else [])],
        env=os.environ | ENVIRONMENT | {task.KILL_AT: str(kill_at)},
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode == -signal.SIGKILL and kill_at:
        return None
    if result.returncode:
        raise RuntimeError(f"{script}: exit code {result.returncode}\n{result.stderr[-2000:]}")
    return result.stdout.splitlines()[-1]


def steps_of(folder: Path) -> list[list[tuple[int, float]]]:
    """Return the steps and losses that each process of a training noted, in their order."""
    processes: dict[str, list[tuple[int, float]]] = {}
    for line in (folder / "steps").read_text("utf-8").splitlines():
        process, step, loss = line.split()
        processes.setdefault(process, []).append((int(step), float(loss)))
    return list(processes.values())
