"""A rank must not outlive the manager of its machine: by then others may train the run."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

WORKER = """
import json, subprocess, sys, time
from unbroken.engines.process import end_with_parent
rank = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
end_with_parent(rank)
print(json.dumps([__import__("os").getpid(), rank.pid]), flush=True)
time.sleep(600)
"""
MANAGER = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {WORKER!r}])"


def lives(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_rank_ends_with_the_manager_of_its_machine_though_its_worker_lives_on():
    manager = subprocess.Popen([sys.executable, "-c", MANAGER], stdout=subprocess.PIPE, text=True)
    assert manager.stdout is not None
    worker, rank = json.loads(manager.stdout.readline())
    assert lives(rank)

    manager.kill()
    manager.wait()
    ended = time.monotonic() + 30
    while lives(rank):
        assert time.monotonic() < ended
        time.sleep(0.05)

    assert lives(worker)
    os.kill(worker, signal.SIGKILL)
    manager.stdout.close()
