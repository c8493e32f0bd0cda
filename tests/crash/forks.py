"""Children forked from one warm process: each starts in milliseconds, with torch imported and no thread running."""

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from typing import Any, TypeVar

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.crash.pipeline"])
SECONDS = 60

Outcome = TypeVar("Outcome")

# Starting one child looks after all others: without this, two threads read the one exit code of a child.
WATCH = threading.Lock()


@dataclass(frozen=True)
class Ending:
    """How a child ended: its value, the error it raised, or neither if it was killed."""

    value: Any = None
    error: Exception | None = None
    killed: bool = False


@dataclass
class Child:
    """A running child."""

    process: ForkServerProcess
    results: Connection

    def ending(self, seconds: float = SECONDS) -> Ending:
        """Wait for its end; one that takes longer hangs, and fails the test."""
        assert self.results.poll(seconds), "the child hangs"
        try:
            ending = self.results.recv()
        except EOFError:
            ending = Ending(killed=True)
        assert self.exit_code() == (-signal.SIGKILL if ending.killed else 0), self.exit_code()
        return ending

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self.process.pid is not None
        return self.process.pid

    def exit_code(self) -> int | None:
        """Wait for its end and return its exit code, negative the signal that ended it."""
        wait([self.process.sentinel], SECONDS)
        with WATCH:
            return self.process.exitcode

    def kill_after(self, seconds: float) -> bool:
        """Kill it after a while; tell whether that came before its end."""
        wait([self.process.sentinel], seconds)
        self.process.kill()
        return self.exit_code() == -signal.SIGKILL


def start(function: Callable[..., Any], *arguments: Any) -> Child:
    """Start a function in a child."""
    receiver, sender = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=_call, args=(sender, function, arguments), daemon=True)
    with WATCH:
        process.start()
    sender.close()
    return Child(process, receiver)


def run(function: Callable[..., Any], *arguments: Any) -> Ending:
    """Run a function in a child and return how it ended."""
    return start(function, *arguments).ending()


def value(function: Callable[..., Any], *arguments: Any) -> Any:
    """Run a function in a child and return its value; raise what it raised."""
    ending = run(function, *arguments)
    if ending.error is not None:
        raise ending.error
    assert not ending.killed, "the child was killed"
    return ending.value


def _call(results: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    logging.getLogger("unbroken").addHandler(logging.NullHandler())
    try:
        results.send(Ending(value=function(*arguments)))
    except Exception as error:
        results.send(Ending(error=error))


def run_all(function: Callable[..., Outcome], cases: Iterable[tuple[Any, ...]]) -> list[Outcome]:
    """Call a function for each case, a few at a time, and return the outcome of each."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(lambda case: function(*case), cases))
