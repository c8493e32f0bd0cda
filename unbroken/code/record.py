"""Which code trained a run: `code.json` in its folder, a segment for each code or machine that it went on with.

An exact run has one segment. The checkpoints know nothing of it, so that those of two versions can be compared.
"""

import dataclasses
import hashlib
import json
import logging
import platform
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from unbroken.code.imports import own_modules
from unbroken.code.machine import Machine, describe_machine
from unbroken.code.source import DIGITS, library_modules
from unbroken.config.model import PRESETS
from unbroken.errors import CheckpointMismatchError, CodeChangedError, DataError, UnbrokenError
from unbroken.storage import atomic, own_files
from unbroken.storage.artifact import from_json
from unbroken.storage.journal import Journal
from unbroken.storage.sealed import seal, unseal

log = logging.getLogger(__name__)
FIRST = "segments"
"""The first member of the file."""
EVENT = "code recorded"


@dataclass(frozen=True, kw_only=True)
class Code:
    """The code that decides the bits of a run.

    Attributes:
        unbroken: The version of the library.
        torch: The version of torch.
        python: The version of Python, which decides nothing.
        digest: Of all `modules`.
        modules: Digests of the library's parsed modules, by their paths in it.
        own: Digests of the user's parsed modules that build the model, by their names.
    """

    unbroken: str
    torch: str
    python: str
    digest: str
    modules: dict[str, str]
    own: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"unbroken {self.unbroken} (code {self.digest}, torch {self.torch})"

    def decides_as(self, code: "Code") -> bool:
        """Tell whether two codes give the same bits as far as their source tells."""
        return (self.digest, self.torch, self.own) == (code.digest, code.torch, code.own)


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A part of a run that one code trained on one machine, from so many finished epochs and steps on; None is not known."""

    epoch: int = 0
    step: int = 0
    code: Code | None = None
    machine: Machine | None = None


@dataclass(frozen=True, kw_only=True)
class CodeRecord:
    """What `code.json` holds."""

    segments: tuple[Segment, ...]

    @classmethod
    def read(cls, path: Path, journal: Journal) -> "CodeRecord":
        """Read the record of a run, an empty one for a run of a version that kept none.

        Args:
            path: The run's `code.json`.
            journal: Has the record too, for where the file is not whole.

        Raises:
            DataError: The file is not whole, and the journal has no record.
        """
        if not path.exists():
            return cls(segments=())
        try:
            return from_json(cls, unseal(own_files.read(path), str(path), FIRST), str(path))
        except DataError as error:
            records = [event[FIRST] for event in journal.events() if event["event"] == EVENT and FIRST in event]
            if not records:
                raise DataError(f"{error}. Remove it, and go on with --resume.accept_code true") from error
            log.warning("%s. Taken from %s", error, journal.path)
            return from_json(cls, json.dumps({FIRST: records[-1]}).encode(), str(journal.path))

    def write(self, path: Path, journal: Journal, guard: Callable[[], None]) -> None:
        """Write the record to `code.json` and to the journal, durably.

        Args:
            path: The run's `code.json`.
            journal: Its journal.
            guard: Raises an error right before the file gets its name if this process may not write it.
        """
        journal.append(EVENT, **dataclasses.asdict(self))
        self.mend(path, guard)

    def mend(self, path: Path, guard: Callable[[], None]) -> None:
        """Write the record to a `code.json` that is not there or has other bytes."""
        content = seal(json.dumps(dataclasses.asdict(self), indent=1).encode())
        if path.is_symlink() or not path.is_file() or own_files.read(path) != content:
            atomic.write(path, content, guard)

    @property
    def latest(self) -> Segment:
        """The newest segment, one of which nothing is known if there is none."""
        return self.segments[-1] if self.segments else Segment()

    @property
    def exact(self) -> bool:
        """Whether one known code trained the whole run on one machine."""
        return len(self.segments) == 1

    def add(self, segment: Segment) -> "CodeRecord":
        """Return the record with one more segment; what came before is kept also where nothing is known of it."""
        return CodeRecord(segments=(*(self.segments or (Segment(),)), segment))

    def change(self, code: Code) -> str | None:
        """Return a sentence about how another code differs from that of the newest segment, None if it does not."""
        previous = self.latest.code
        return None if previous is not None and previous.decides_as(code) else describe_change(previous, code)


@contextmanager
def naming_change(
    change: str | None, way_out: str, errors: tuple[type[UnbrokenError], ...] = (CheckpointMismatchError,)
) -> Generator[None]:
    """Name the change of the code in an error of using a checkpoint; without a change, the error is as it was.

    Args:
        change: A sentence about it, as of `CodeRecord.change`.
        way_out: What can be done then.
        errors: Those that the change can explain.

    Raises:
        CodeChangedError: One of them came, and the code has changed.
    """
    try:
        yield
    except errors as error:
        if change is None:
            raise
        raise CodeChangedError(f"{error}; {change}. {way_out}") from error


def present_code(factory: str) -> Code:
    """Return the code of this process for models of a factory.

    Raises:
        ConfigError: There is no module of that factory.
    """
    modules = library_modules()
    return Code(
        unbroken=installed_version("unbroken"),
        torch=installed_version("torch"),
        python=platform.python_version(),
        digest=digest_of(modules),
        modules=modules,
        own=model_modules(factory),
    )


def present_segment(code: Code, epoch: int = 0, step: int = 0) -> Segment:
    """Return what begins where this process goes on with a run."""
    return Segment(epoch=epoch, step=step, code=code, machine=describe_machine())


def model_modules(factory: str) -> dict[str, str]:
    """Return the digests of the user's modules that build a model, none for a preset."""
    return {} if factory in PRESETS else own_modules(factory.partition(":")[0])


def digest_of(modules: dict[str, str]) -> str:
    """Return one digest of the digests of some modules."""
    return hashlib.sha256(json.dumps(modules, sort_keys=True).encode()).hexdigest()[:DIGITS]


@cache
def installed_version(name: str) -> str:
    """Return the version of an installed package, without importing it."""
    try:
        return version(name)
    except PackageNotFoundError:  # a source tree that is not installed
        return "0+source"


def describe_change(previous: Code | None, code: Code) -> str:
    """Return a sentence that names two codes and the modules that differ."""
    if previous is None:
        return f"it carries no digest of the code that trained it, this is {code}"
    modules = differing(previous.modules | previous.own, code.modules | code.own)
    names = f"; what differs: {', '.join(modules)}" if modules else ""
    return f"it was trained by {previous}, this is {code}{names}"


def differing(previous: dict[str, str], current: dict[str, str]) -> list[str]:
    """Return the names whose values differ, or that only one of both has."""
    return sorted(name for name in previous.keys() | current.keys() if previous.get(name) != current.get(name))
