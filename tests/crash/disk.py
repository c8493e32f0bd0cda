"""Every file operation of this process under one folder: made visible, counted, and broken on demand.

The layer sits where Python calls the operating system, so what it sees is what the library does, and no line of the
library knows of it.
"""

import builtins
import errno
import io
import os
import pickle
import signal
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NoReturn
from unittest import mock

Kind = Literal["create", "write", "fsync", "fsync folder", "rename", "unlink", "mkdir"]
When = Literal["before", "half", "after"]

MOST_BYTES = 1 << 13
"""Of one write: so little that even a small checkpoint takes several, as large ones do."""


@dataclass(frozen=True)
class Operation:
    """One change of the disk; `offset` and `data` of a write, `target` of a rename."""

    kind: Kind
    path: str
    target: str = ""
    offset: int = 0
    data: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class Fault:
    """What goes wrong at an operation: an error of the operating system, or death (no error number)."""

    when: When
    number: int | None = None

    def strike(self, operation: Operation) -> NoReturn:
        """Fail or die; as in the operating system, calls that know an open file but no path name none."""
        if self.number is None:
            kill()
        named = (operation.path,) if operation.kind in {"create", "rename", "unlink", "mkdir"} else ()
        raise OSError(self.number, os.strerror(self.number), *named)

    def __str__(self) -> str:
        return f"{'SIGKILL' if self.number is None else errno.errorcode[self.number]} {self.when}"


Judge = Callable[[Operation], Fault | None]


@dataclass
class Faults:
    """Strikes at the operation number `index`, counted from 0, and with `again` at each one after it."""

    index: int
    fault: Fault
    again: bool = False
    seen: int = 0

    def judge(self, _: Operation) -> Fault | None:
        """Count an operation and say what happens to it."""
        self.seen += 1
        due = self.seen > self.index if self.again else self.seen == self.index + 1
        return self.fault if due else None


@dataclass
class Recorder:
    """Notes operations in a file that outlives a killed process, and lets faults strike."""

    log: Path
    faults: Faults | None = None

    def judge(self, operation: Operation) -> Fault | None:
        """Note an operation that will be done, and say what happens to one that will not."""
        fault = self.faults.judge(operation) if self.faults else None
        if fault is None:
            with self.log.open("ab") as file:
                pickle.dump(operation, file)
        return fault

    def operations(self) -> list[Operation]:
        """Return what was noted."""
        stream = io.BytesIO(self.log.read_bytes())
        return list(iter(lambda: pickle.load(stream) if stream.tell() < len(stream.getvalue()) else None, None))


def kill() -> NoReturn:
    """Die on the spot, as by a power failure of the process: no handler, no flush, no clean-up."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("survived SIGKILL")


@contextmanager
def watched(folder: Path, judge: Judge) -> Generator[None]:
    """Show every file operation under a folder to `judge` before it happens, and do to it what it answers."""
    layer = _Layer(str(folder.absolute()), judge)
    with ExitStack() as stack:
        names = ("open", "fsync", "rename", "replace", "unlink", "remove", "mkdir", "fdopen")
        replaced: dict[str, Any] = {name: getattr(layer, name) for name in names}
        stack.enter_context(mock.patch.multiple(os, **replaced))
        stack.enter_context(mock.patch.object(builtins, "open", layer.open_file))
        stack.enter_context(mock.patch.object(io, "open", layer.open_file))
        yield


class _Layer:
    """Stand-ins for the functions of `os` and for `open`."""

    def __init__(self, folder: str, judge: Judge) -> None:
        self._folder = folder
        self._judge = judge
        self._real = {name: getattr(os, name) for name in dir(os)}
        self._open = builtins.open

    def open(self, path: Any, flags: int, *arguments: Any, **options: Any) -> int:
        def act() -> int:
            return self._real["open"](path, flags, *arguments, **options)

        creates = flags & os.O_CREAT and not os.path.lexists(path)
        return self._do(Operation("create", _name(path)), act) if creates else act()

    def fsync(self, descriptor: int) -> None:
        path = path_of(descriptor)
        kind: Kind = "fsync folder" if Path(path).is_dir() else "fsync"
        self._do(Operation(kind, path), lambda: self._real["fsync"](descriptor))

    def rename(self, path: Any, target: Any, **options: Any) -> None:
        operation = Operation("rename", _name(path), target=_name(target))
        self._do(operation, lambda: self._real["rename"](path, target, **options))

    replace = rename

    def unlink(self, path: Any, **options: Any) -> None:
        self._do(Operation("unlink", _name(path)), lambda: self._real["unlink"](path, **options))

    remove = unlink

    def mkdir(self, path: Any, *arguments: Any, **options: Any) -> None:
        self._do(Operation("mkdir", _name(path)), lambda: self._real["mkdir"](path, *arguments, **options))

    def fdopen(self, descriptor: int, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        return self.open_file(descriptor, mode, *arguments, **options)

    def open_file(self, file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        path = path_of(file) if isinstance(file, int) else _name(file)
        if mode not in {"wb", "ab"} or not self._covers(path):
            return self._open(file, mode, *arguments, **options)
        if not isinstance(file, int):
            flags = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if mode == "ab" else os.O_TRUNC)
            opener = options.get("opener") or (lambda name, how: self.open(name, how, 0o666))
            file = opener(file, flags)
        raw = _File(file, mode, self)
        return raw if options.get("buffering") == 0 else io.BufferedWriter(raw)

    def write(self, file: "_File", data: bytes) -> int:
        operation = Operation(
            "write", path_of(file.fileno()), offset=os.lseek(file.fileno(), 0, os.SEEK_CUR), data=data
        )
        return self._do(
            operation, lambda: file.really_write(data), half=lambda: file.really_write(data[: len(data) // 2])
        )

    def _covers(self, path: str) -> bool:
        return Path(path).is_relative_to(self._folder)

    def _do(self, operation: Operation, act: Callable[[], Any], half: Callable[[], Any] = lambda: None) -> Any:
        fault = self._judge(operation) if self._covers(operation.path) else None
        if fault is None:
            return act()
        if fault.when == "half":
            half()
        elif fault.when == "after":
            act()
        return fault.strike(operation)


class _File(io.FileIO):
    """A file whose writes can be seen."""

    def __init__(self, descriptor: int, mode: str, layer: _Layer) -> None:
        super().__init__(descriptor, mode)
        self._layer = layer

    def write(self, data: Any, /) -> int:
        return self._layer.write(self, bytes(data[:MOST_BYTES]))

    def really_write(self, data: bytes) -> int:
        return super().write(data)


def path_of(descriptor: int) -> str:
    """Return the present path of an open file."""
    return str(Path(f"/proc/self/fd/{descriptor}").readlink())


def _name(path: Any) -> str:
    return os.path.abspath(os.fsdecode(path))  # noqa: PTH100 (Path.absolute keeps `..`)
