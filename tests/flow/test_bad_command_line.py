"""What is wrong with a command line is said in one line, by name and value."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from tests.flow.conftest import Terminal
from tests.scorecard import Scorecard
from tests.unit.bad.cases import faults_of
from tests.unit.stages import hundred, write
from unbroken.cli.main import parse
from unbroken.cli.settings import settings_of
from unbroken.config import Config
from unbroken.errors import UnbrokenError


def toml(content: str | bytes) -> Callable[[Path], list[str]]:
    def make(folder: Path) -> list[str]:
        (folder / "run.toml").write_bytes(content if isinstance(content, bytes) else content.encode())
        return ["--config", str(folder / "run.toml")]

    return make


def line(*words: str) -> Callable[[Path], list[str]]:
    return lambda _: list(words)


COMMANDS: dict[str, tuple[Callable[[Path], list[str]], tuple[str, ...]]] = {
    "text for a number": (
        line("--training.epochs", "many"),
        ("training.epochs: found 'many', expected int or 'auto'",),
    ),
    "a fraction for a whole number": (
        line("--training.epochs", "2.5"),
        ("training.epochs: found '2.5', expected int or 'auto'",),
    ),
    "nothing for a number": (line("--training.epochs"), ("--training.epochs", "expected one argument")),
    "an unknown setting": (line("--training.speed", "9"), ("--training.speed",)),
    "an unknown group": (line("--magic.speed", "9"), ("--magic.speed",)),
    "a shortened name": (line("--training.epoch", "9"), ("--training.epoch",)),
    "a word too many": (line("flights"), ("flights",)),
    "a kind of split that is none": (line("--split.kind", "rolling"), ("split.kind: found 'rolling'", "'group'")),
    "perhaps for yes or no": (
        line("--checkpoint.wait", "perhaps"),
        ("checkpoint.wait: found 'perhaps', expected bool",),
    ),
    "a number for options": (line("--model.options", "5"), ("model.options: found '5', expected dict",)),
    "a learning rate of 0": (line("--training.learning_rate", "0"), ("training.learning_rate: found 0",)),
    "a text for a list": (line("--data.include", "x"), ("data.include: found 'x'",)),
    "a password": (line("--data.source", "s3://user:password@host/a.csv"), ("data.source: found credentials",)),
    "a TOML file that is not there": (line("--config", "nowhere.toml"), ("--config nowhere.toml", "No such file")),
    "a TOML file by an equals sign": (line("--config=nowhere.toml"), ("--config nowhere.toml", "No such file")),
    "a folder for a TOML file": (lambda folder: ["--config", str(folder)], ("Is a directory",)),
    "a TOML file with an error": (toml("[training\nepochs = 1"), ("run.toml", "line 1, column 10")),
    "a TOML file in another encoding": (toml(b"\xff\xfe"), ("run.toml", "utf-8")),
    "an unknown key in a TOML file": (toml("[training]\nepoch = 1"), ("run.toml", "'training'", "'epoch'")),
    "an unknown table in a TOML file": (toml("[magic]\nepoch = 1"), ("run.toml", "magic")),
    "a wrong type in a TOML file": (toml("[training]\nepochs = 'many'"), ("run.toml", "training.epochs: found 'many'")),
    "a wrong value in a TOML file": (
        toml("[training]\nepochs = 0"),
        ("training.epochs: found 0, expected at least 1",),
    ),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_bad_command_line_is_refused_in_one_line(name: str, tmp_path: Path, scorecard: Scorecard):
    make, says = COMMANDS[name]

    with pytest.raises(UnbrokenError) as refused:
        settings_of(parse(["train", *make(tmp_path)]).train, Config)

    message = str(refused.value)
    faults = faults_of(message, says) + ([f"expected one line: {message}"] if "\n" in message else [])
    scorecard.judge("bad inputs", ["; ".join(faults) or None])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--training.epochs", "many"], "error: training.epochs: found 'many', expected int or 'auto'"),
        pytest.param(
            ["--data.source", "nowhere.parquet"], "nowhere.parquet: no such file or folder", marks=pytest.mark.slow
        ),
        (["--data.source", "INFINITE"], "column x, row 7: found inf, expected a finite number"),
        pytest.param(
            ["--data.source", "sample", "--training.optimizer", "Adamm"],
            "training.optimizer: found 'Adamm'",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_at_the_terminal_it_is_one_paragraph_exit_code_2_and_no_run(
    arguments: list[str], says: str, terminal: Terminal, tmp_path: Path
):
    """Also where the first stages were done before, and Prefect has stored their results in the run's folder."""
    values = [float("inf") if row == 7 else float(row % 5) for row in range(100)]
    infinite = write(tmp_path / "infinite.parquet", hundred(pa.array(values)))

    done = terminal(*[infinite if word == "INFINITE" else word for word in arguments])

    assert done.returncode == 2, done.stderr
    assert says in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert "usage" not in done.stderr
    assert list((tmp_path / "runs").glob("*")) == []


@pytest.mark.slow
def test_results_are_stored_as_json_and_never_as_pickles(terminal: Terminal, tmp_path: Path):
    done = terminal("--data.source", "sample", "--training.epochs", "1")

    assert done.returncode == 0, done.stderr
    stored = [path for path in (tmp_path / "runs").glob("*/results/*") if path.is_file()]
    assert len(stored) >= 6  # one a stage
    for path in stored:
        metadata = json.loads(path.read_bytes())["metadata"]
        assert metadata["serializer"]["type"] == "verified-json"  # our own: JSON with its digest


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("train", "error: data.source: found nothing, expected a path"),
        ("retrain", "error: model: found nothing, expected the name of a model"),
        ("predict", "error: model: found nothing, expected the folder of a model"),
    ],
)
def test_a_bare_command_outside_a_project_says_what_is_needed_and_writes_nothing(
    command: str, says: str, tmp_path: Path
):
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}

    done = subprocess.run(
        [sys.executable, "-m", "unbroken", command],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(says)
    assert list(tmp_path.iterdir()) == []
