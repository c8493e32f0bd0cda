"""The real command in a real process."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "flows.train")
SETTINGS = {
    "data.source": "sample",
    "training.epochs": "6",
    "training.batch_size": "8",
    "training.scheduler": "OneCycleLR",
    "model.options": '{"hidden": [16], "dropout": 0.2}',
    "checkpoint.every_steps": "7",
}
PATIENCE = 120
"""Seconds after which a command that has not ended is hanging."""


class Command:
    """A folder and the command that trains in it."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = environment
        settings = SETTINGS | {"runs_folder": str(folder)}
        self.command = [*COMMAND, *(word for name, value in settings.items() for word in (f"--{name}", value))]

    def start(self) -> subprocess.Popen[str]:
        """Type the command."""
        return subprocess.Popen(
            self.command, cwd=ROOT, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def finish(self) -> bytes:
        """Type the command, let it end and return the checkpoint that it published."""
        self.end_of(self.start())
        return self.published

    def end_of(self, process: subprocess.Popen[str]) -> str:
        """Wait for a command and return what it printed."""
        output, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, output
        return output

    @property
    def run(self) -> Path:
        """The folder of the one run."""
        (run,) = (path for path in self.folder.iterdir() if path.is_dir())
        return run

    @property
    def published(self) -> bytes:
        """The checkpoint that was published."""
        return (self.run / "checkpoint.pth").read_bytes()

    def kill_within(self, draw: random.Random, startup: float, training: float) -> int:
        """Type the command and kill it at a random moment of its start, or of the work that follows.

        Return 1 if it was killed, 0 if it ended before that.
        """
        process = self.start()
        in_training = draw.random() < 0.6
        if in_training:
            self.wait_for_journal(process)
        time.sleep(draw.uniform(0, training if in_training else startup))
        process.kill()
        process.communicate(timeout=PATIENCE)
        return int(process.returncode == -signal.SIGKILL)

    def wait_for_journal(self, process: subprocess.Popen[str]) -> None:
        """Return when the command has noted something in the journal, or has ended."""
        length, deadline = len(self._journal()), time.monotonic() + PATIENCE
        while len(self._journal()) == length and process.poll() is None:
            assert time.monotonic() < deadline, "the command hangs"
            time.sleep(0.002)

    def _journal(self) -> bytes:
        return b"".join(path.read_bytes() for path in self.folder.glob("*/journal.jsonl"))
