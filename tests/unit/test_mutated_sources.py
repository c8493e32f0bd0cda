"""300 sources with random damage end in a right result or in one paragraph, soon, and touch nothing but the run."""

import hashlib
import signal
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest

from tests.unit.mutated import mutated
from unbroken.config import Config, DataConfig
from unbroken.errors import UnbrokenError
from unbroken.pipeline import prepare
from unbroken.run import open_run

SECONDS = 20
FAST, ALL = 20, 150
"""Seeds, each for CSV and for Parquet."""


class TookTooLong(BaseException):
    """A source was neither read nor refused in time."""


@contextmanager
def time_limit() -> Generator[None]:
    def stop(_: int, __: FrameType | None) -> None:
        raise TookTooLong

    previous = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)


def content(folder: Path) -> dict[str, str]:
    """Return the digest of every file outside the runs."""
    files = [path for path in folder.rglob("*") if path.is_file() and folder / "runs" not in path.parents]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize(
    "seed", [*range(FAST), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(FAST, ALL))]
)
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_damaged_sources_are_read_or_refused_in_one_paragraph(kind: str, seed: int, tmp_path: Path):
    changes, source = mutated(kind, seed, tmp_path / "in")
    (tmp_path / "runs").mkdir()
    config = Config(data=DataConfig(source=str(source)), runs_folder=str(tmp_path / "runs"))
    untouched = content(tmp_path)

    with time_limit():
        try:
            parts = prepare(config, open_run(config)).splits
        except UnbrokenError as error:
            message = str(error)
            assert message.strip(), changes
            assert "\n" not in message, changes
            assert not list((tmp_path / "runs").rglob("*.parquet")), changes
        else:
            assert parts.train.rows > 0, changes
            assert parts.test.rows > 0, changes

    assert content(tmp_path) == untouched
