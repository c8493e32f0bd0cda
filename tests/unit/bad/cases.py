"""What a case of bad input is made of: a source, settings, and what the message must say."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from tests.unit.stages import hundred, write
from unbroken.config import CheckpointConfig, ModelConfig, PreprocessConfig, SplitConfig, StartConfig, TrainingConfig

ROWS = [float(row) for row in range(100)]
GOOD = hundred(ROWS)
CSV = "x,label\n" + "".join(f"{row},{row % 2}\n" for row in range(100))

Source = Callable[[Path], str | Path]
Sections = Callable[[], dict[str, Any]]


@dataclass(frozen=True)
class Case:
    """A source, the settings beside it (made late, since making them may fail), and what the message must say."""

    source: Source
    says: tuple[str, ...]
    sections: Sections = dict
    data: dict[str, Any] = field(default_factory=dict)


def faults_of(message: str, says: tuple[str, ...]) -> list[str]:
    """Return what is wrong with the message of a refusal: parts that it must say and does not, and a password."""
    faults = [f"expected {part!r} in: {message}" for part in says if part not in message]
    return faults + (["the password is told"] if "password" in message else [])


def table(columns: dict[str, Any] | pa.Table, **options: Any) -> Source:
    return lambda folder: write(folder / "in/a.parquet", columns, **options)


def tables(*each: dict[str, Any]) -> Source:
    def make(folder: Path) -> Path:
        for number, columns in enumerate(each, start=1):
            write(folder / f"in/{number}.parquet", columns)
        return folder / "in"

    return make


def content(name: str, made: bytes | str) -> Source:
    def make(folder: Path) -> Path:
        path = folder / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(made if isinstance(made, bytes) else made.encode())
        return path

    return make


def text(source: str) -> Source:
    return lambda _: source


def with_label(label: Any) -> Source:
    return table({"x": ROWS[: len(label)], "label": label})


def training(batch_size: Any = 10, **options: Any) -> Sections:
    return lambda: {"training": TrainingConfig(batch_size=batch_size, **options)}


def scaling(**options: Any) -> Sections:
    return lambda: {"preprocess": PreprocessConfig(**options)}


def checkpoint(**options: Any) -> Sections:
    return lambda: {"checkpoint": CheckpointConfig(**options)}


def start(**options: Any) -> Sections:
    return lambda: {"start": StartConfig(**options)}


def split(**options: Any) -> Sections:
    return lambda: {"split": SplitConfig(**options)}


def model(factory: str, **options: Any) -> Sections:
    return lambda: {"model": ModelConfig(factory=factory, options=options), "training": TrainingConfig(batch_size=10)}


def good(sections: Sections, *says: str) -> Case:
    """Return a case of good data, whose settings are bad."""
    return Case(table(GOOD), says, sections)


def data(says: str | tuple[str, ...], source: Source = table(GOOD), **options: Any) -> Case:  # noqa: B008 (a function)
    """Return a case of a source and the `data` settings."""
    return Case(source, (says,) if isinstance(says, str) else says, data=options)
