"""Background processes, one of a name, each with a log and a lock that the kernel frees when the process ends."""

import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from unbroken.storage import own_files

POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Service:
    """A process that outlives the command which started it; its state lies in a private folder."""

    name: str
    folder: Path

    @classmethod
    def others(cls, folder: Path, *known: "Service") -> list["Service"]:
        """Return the services that were started in a folder besides those that are known."""
        services = [cls(path.stem, folder) for path in sorted(folder.glob("*.pid"))]
        return [service for service in services if service not in known]

    @property
    def log(self) -> Path:
        """What the process prints."""
        return self.folder / f"{self.name}.log"

    def start(self, command: Sequence[str], environment: Mapping[str, str]) -> bool:
        """Start the process, or leave it alone and return False if it runs."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with own_files.open_to_append(self._pid) as pid, own_files.open_to_append(self.log) as log:
            if not _lock(pid.fileno()):
                return False
            # The child inherits the lock and holds it to its end, so that a stale process id is told from a live one.
            process = subprocess.Popen(
                command,
                cwd=self.folder.parent,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=[pid.fileno()],
            )
            pid.truncate(0)
            pid.write(str(process.pid).encode())
        return True

    def is_running(self) -> bool:
        """Tell whether the process is alive."""
        if not self._pid.exists():
            return False
        with own_files.open_to_append(self._pid) as pid:
            return not _lock(pid.fileno())

    def stop(self, seconds: float) -> bool:
        """End the process and its children with SIGTERM, after so many seconds with SIGKILL; return False if there was none."""
        if not self.is_running():
            return False
        number = int(own_files.read(self._pid))
        deadline = time.monotonic() + seconds
        os.killpg(number, signal.SIGTERM)
        while self.is_running():
            if time.monotonic() > deadline:
                os.killpg(number, signal.SIGKILL)
            time.sleep(POLL_SECONDS)
        return True

    @property
    def _pid(self) -> Path:
        return self.folder / f"{self.name}.pid"


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
