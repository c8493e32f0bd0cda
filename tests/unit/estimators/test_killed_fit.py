"""A fit that is killed with SIGKILL goes on, and ends with the bytes of one that was left alone."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.unit.estimators.rows import frame
from unbroken import UnbrokenClassifier
from unbroken.storage.journal import Journal

SECONDS = 60
SETTINGS: dict[str, Any] = {"epochs": 40, "patience": None, "hidden": (16,), "dropout": 0.1, "batch_size": 32}
SCRIPT = f"""
import sys
from tests.unit.estimators.rows import frame
from unbroken import UnbrokenClassifier
rows, score = frame()
UnbrokenClassifier(run_dir=sys.argv[1], **{SETTINGS!r}).fit(rows, score > 0)
"""


def kill_after_epoch(folder: Path, epoch: int) -> None:
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(folder)])
    deadline = time.monotonic() + SECONDS
    try:
        while not any(int(path.name[6:10]) >= epoch for path in folder.glob("*/checkpoints/epoch-*.pth")):
            assert process.poll() is None, "ended before it was killed"
            assert time.monotonic() < deadline
            time.sleep(0.005)
    finally:
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL


@pytest.mark.slow
def test_a_killed_fit_goes_on_and_ends_with_the_bytes_of_one_never_killed(tmp_path: Path):
    rows, score = frame()
    kill_after_epoch(tmp_path / "killed", 3)

    resumed = UnbrokenClassifier(run_dir=tmp_path / "killed", **SETTINGS).fit(rows, score > 0)
    undisturbed = UnbrokenClassifier(**SETTINGS).fit(rows, score > 0)

    (journal,) = (tmp_path / "killed").glob("*/journal.jsonl")
    (event,) = [event for event in Journal(journal).events() if event["event"] == "resumed"]
    assert 3 <= event["epoch"] < 40
    assert resumed.n_iter_ == 40
    assert resumed.model_.checkpoint == undisturbed.model_.checkpoint
    assert resumed.predict_proba(rows).tobytes() == undisturbed.predict_proba(rows).tobytes()
