"""Who trains trials: this process, or several others on this machine."""

import contextlib
import json
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from pydantic import TypeAdapter

from unbroken import errors
from unbroken.engines import messages
from unbroken.errors import TrainingError, UnbrokenError
from unbroken.storage.artifact import to_json
from unbroken.sweeps.journal import Outcome
from unbroken.sweeps.shared_data import SharedData
from unbroken.sweeps.study import Study
from unbroken.sweeps.sweep import Sweep
from unbroken.sweeps.trial import run_trial
from unbroken.sweeps.worker import Work
from unbroken.training.progress import Report
from unbroken.training.signals import StopRequest

log = logging.getLogger(__name__)
RESTARTS = 3
"""How often a trial is given to another process where the one that trained it died."""
LOOK, STOPPING = 0.2, 90.0
"""Seconds: between two looks at the processes, and that they have to save and stop."""
OUTCOME = TypeAdapter(Outcome)


class Workers(Protocol):
    """Train the trials that are started, as many at a time as they are."""

    def start(self, trial: int) -> None:
        """Begin with a trial."""

    def next(self) -> Outcome:
        """Return what came of one of the trials that were started, whichever is over first."""
        ...


@contextmanager
def workers_of(sweep: Sweep, study: Study, report: Report) -> Generator[Workers]:
    """Yield as many as the settings ask for; they end with the block, after saving what they train."""
    if sweep.config.workers == 1:
        yield OwnProcess(sweep, study, report)
        return
    with StopRequest() as stop, contextlib.closing(Processes(sweep, stop)) as processes:
        yield processes


class OwnProcess:
    """This process, which shows the progress of its one trial."""

    def __init__(self, sweep: Sweep, study: Study, report: Report) -> None:
        self._sweep, self._study, self._report = sweep, study, report
        self._data = SharedData(sweep)
        self._started: list[int] = []

    def start(self, trial: int) -> None:
        """Begin with a trial."""
        self._started.append(trial)

    def next(self) -> Outcome:
        """Train the trial that was started, and return what came of it."""
        trial, record = self._started.pop(0), self._sweep.journal.read()
        return run_trial(self._sweep, self._study, self._data, trial, record, self._report)


@dataclass
class _Process:
    """One of the others."""

    process: subprocess.Popen[bytes]
    messages: "queue.SimpleQueue[tuple[_Process, dict[str, Any]]]"
    trial: int | None = None
    listener: threading.Thread = field(init=False)

    def give(self, trial: int) -> None:
        """Let it train a trial."""
        self.trial = trial
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has died, which is seen at the next look
            self.process.stdin.write(b"%d\n" % trial)
            self.process.stdin.flush()

    def listen(self, reader: int) -> None:
        """Hand on what it tells."""
        with os.fdopen(reader, "rb") as lines:
            for line in lines:
                self.messages.put((self, json.loads(line)))


class Processes:
    """Other processes of this machine, which save and end when this one is gone."""

    def __init__(self, sweep: Sweep, stop: StopRequest) -> None:
        self._work = to_json(Work(sweep=sweep, paths=tuple(sys.path))) + b"\n"
        self._stop = stop
        self._messages: queue.SimpleQueue[tuple[_Process, dict[str, Any]]] = queue.SimpleQueue()
        self._processes: list[_Process] = []
        self._deaths: dict[int, int] = {}

    def start(self, trial: int) -> None:
        """Give a trial to a process that has none, a new one if there is none."""
        idle = (process for process in self._processes if process.trial is None)
        (next(idle, None) or self._new_process()).give(trial)

    def next(self) -> Outcome:
        """Wait for the next trial to end; one whose process dies is given to another.

        Raises:
            StoppedError: A signal asked to stop; all are saved.
            UnbrokenError: What is wrong with more than a trial, or a trial killed its process again and again.
            OSError: A file cannot be read or written.
        """
        while True:
            with contextlib.suppress(queue.Empty):
                process, message = self._messages.get(timeout=LOOK)
                if (outcome := _outcome(message)) is not None:
                    process.trial = None
                    return outcome
                continue
            if self._stop.signal is not None:
                self.close()
                raise errors.StoppedError("stopped; what was trained is saved, run the same command again to go on")
            for dead in [process for process in self._processes if process.process.poll() is not None]:
                self._bury(dead)

    def close(self) -> None:
        """Let all save and end; kill those that take too long."""
        for process in self._processes:
            assert process.process.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                process.process.stdin.close()
        deadline = time.monotonic() + STOPPING
        for process in self._processes:
            try:
                process.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.process.kill()
                process.process.wait()
            process.listener.join()
        self._processes.clear()

    def _bury(self, dead: _Process) -> None:
        dead.listener.join()
        if not self._messages.empty():
            return  # its last words come first
        self._processes.remove(dead)
        trial, code = dead.trial, dead.process.returncode
        if trial is None:
            return
        words = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        self._deaths[trial] = self._deaths.get(trial, 0) + 1
        if self._deaths[trial] > RESTARTS:
            raise TrainingError(
                f"trial {trial}: the process that trained it {words}, {RESTARTS + 1} times. Lower sweep.workers if memory is "
                f"short, or narrow sweep.space; what was trained is saved"
            )
        log.warning("trial %d: the process that trained it %s; another one goes on with it", trial, words)
        self.start(trial)

    def _new_process(self) -> _Process:
        reader, writer = os.pipe()
        process = subprocess.Popen(
            [sys.executable, "-m", "unbroken.sweeps.worker", str(writer)],
            stdin=subprocess.PIPE,
            pass_fds=(writer,),
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            start_new_session=True,  # Ctrl-C at a terminal comes here alone, and is handed on
        )
        os.close(writer)
        worker = _Process(process, self._messages)
        worker.listener = threading.Thread(target=worker.listen, args=(reader,), name="trials", daemon=True)
        worker.listener.start()
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(self._work)
            process.stdin.flush()
        self._processes.append(worker)
        return worker


def _outcome(message: dict[str, Any]) -> Outcome | None:
    """Return what a process tells of a trial that ended; raise what ended the process itself."""
    match message.pop("kind"):
        case messages.RESULT:
            return OUTCOME.validate_python(message)
        case messages.LOG:
            logging.getLogger(message["name"]).log(message["level"], "%s", message["message"])
        case messages.OS_ERROR:
            raise OSError(message["number"], message["message"], message["path"])
        case messages.ERROR:
            known = getattr(errors, message["name"], UnbrokenError)
            raise (UnbrokenError if "__init__" in vars(known) else known)(message["message"])
    return None
