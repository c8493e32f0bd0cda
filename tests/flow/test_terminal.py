"""What a person at a terminal sees."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.flow.conftest import ROOT, Terminal

SAMPLE = ("--data.source", "sample")


def test_the_classic_example_shows_its_shapes_and_five_epochs_of_falling_loss(terminal: Terminal):
    done = terminal(*SAMPLE)

    assert done.returncode == 0, done.stderr
    assert "1,000 rows x 10 features" in done.stdout
    assert "800 train / 200 test" in done.stdout
    rows = re.findall(r"^ +(\d) +(\d\.\d{4}) .* checkpoint saved *$", done.stdout, re.MULTILINE)
    assert [int(epoch) for epoch, _ in rows] == [1, 2, 3, 4, 5]
    losses = [float(loss) for _, loss in rows]
    assert losses == sorted(losses, reverse=True)
    path = re.search(r"^checkpoint +(\S+)", done.stdout, re.MULTILINE)
    assert path is not None
    checkpoint = torch.load(path[1], weights_only=True)
    assert {"model_state_dict", "optimizer_state_dict"} <= checkpoint.keys()


def test_the_classic_example_killed_after_epoch_3_continues_with_4_and_5(
    terminal: Terminal, environment: dict[str, str], tmp_path: Path
):
    slow = (*SAMPLE, "--training.batch_size", "1")
    command = [sys.executable, "-m", "flows.train", "--runs_folder", str(tmp_path / "runs"), *slow]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        wait_for_epoch(3, tmp_path / "runs", process)
        process.send_signal(signal.SIGKILL)

    done = terminal(*slow)

    assert done.returncode == 0, done.stderr
    assert re.search(r"^ +4 .* resumed from epoch 3, checkpoint saved *$", done.stdout, re.MULTILINE)
    assert re.search(r"^ +5 .* checkpoint saved *$", done.stdout, re.MULTILINE)
    saved = [event["epoch"] for event in events(tmp_path / "runs") if event["event"] == "checkpoint saved"]
    assert saved == [1, 2, 3, 4, 5]


def test_a_finished_run_says_that_there_is_nothing_to_do_and_needs_neither_prefect_nor_torch(
    environment: dict[str, str], tmp_path: Path
):
    """And the training before it, which needs both, did without the compiler of torch."""
    first, modules = imported(environment, tmp_path / "runs")
    assert modules & {"torch", "prefect", "torch._dynamo", "torch._inductor", "sympy"} == {"torch", "prefect"}
    published = next((tmp_path / "runs").glob("*/checkpoint.pth"))
    content, time_of_writing = published.read_bytes(), published.stat().st_mtime_ns

    again, modules = imported(environment, tmp_path / "runs")

    assert "Nothing to do: this run is finished, 5 epochs are done." in again
    assert table_in(again) == table_in(first)
    assert ("unbroken.run" in modules, modules & {"torch", "prefect"}) == (True, set())
    assert (published.read_bytes(), published.stat().st_mtime_ns) == (content, time_of_writing)


@pytest.mark.parametrize(
    "gone",
    [
        "checkpoint.pth",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("data/train.parquet", "checkpoints/epoch-0005*")),
    ],
)
@pytest.mark.slow
def test_a_finished_run_of_which_a_file_is_gone_makes_it_again(gone: str, terminal: Terminal, tmp_path: Path):
    terminal(*SAMPLE)
    (path,) = (tmp_path / "runs").glob(f"*/{gone}")
    before = path.read_bytes()
    path.unlink()

    again = terminal(*SAMPLE)

    assert again.returncode == 0, again.stderr
    assert path.read_bytes() == before


@pytest.mark.slow
def test_settings_come_from_a_toml_file_and_the_command_line_overrides_it(terminal: Terminal, tmp_path: Path):
    settings = tmp_path / "run.toml"
    settings.write_text('[data]\nsource = "sample"\n[training]\nepochs = 4\n[model.options]\nhidden = [32]\n')

    done = terminal("--config", str(settings), "--training.epochs", "2")

    assert done.returncode == 0, done.stderr
    assert "2 epochs in batches of 256" in done.stdout
    assert torch.load(next(tmp_path.glob("runs/*/checkpoint.pth")))["model_state_dict"]["layers.0.weight"].shape == (
        32,
        10,
    )


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((*SAMPLE, "--training.epochs", "0"), "training.epochs: found 0, expected at least 1"),
        (("--data.source", "nowhere"), "nowhere: no such file or folder"),
        ((*SAMPLE, "--data.label", "height"), "no column height"),
        ((*SAMPLE, "--training.epoch", "3"), "--training.epoch"),
    ],
)
def test_a_mistake_is_answered_with_one_paragraph_and_exit_code_2(
    arguments: tuple[str, ...], named: str, terminal: Terminal, tmp_path: Path
):
    done = terminal(*arguments)

    assert done.returncode == 2
    assert named in " ".join(done.stderr.split())
    assert "Traceback" not in done.stdout + done.stderr
    assert not list(tmp_path.glob("runs/*/*"))


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, -signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_a_signal_ends_it_after_a_checkpoint_at_the_present_step_and_the_same_command_goes_on(
    number: signal.Signals, status: int, terminal: Terminal, environment: dict[str, str], tmp_path: Path
):
    slow = (*SAMPLE, "--training.batch_size", "1", "--training.epochs", "12")
    command = [sys.executable, "-m", "flows.train", "--runs_folder", str(tmp_path / "runs"), *slow]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        wait_for_epoch(2, tmp_path / "runs", process)
        process.send_signal(number)
        output, errors = process.communicate(timeout=60)

    assert process.returncode == status
    assert f"stopped by {number.name}; the checkpoint is saved" in output.decode()
    assert b"Traceback" not in output + errors
    last = [event for event in events(tmp_path / "runs") if event["event"] == "checkpoint saved"][-1]

    assert terminal(*slow).returncode == 0
    (resumed,) = [event for event in events(tmp_path / "runs") if event["event"] == "resumed"]
    assert (resumed["epoch"], resumed["step"]) == (last["epoch"], last["step"])


def imported(environment: dict[str, str], runs: Path) -> tuple[str, set[str]]:
    """Train the sample in a process of its own; return what it printed and the names of all modules that it imported."""
    command = [sys.executable, "-X", "importtime", "-m", "flows.train", "--runs_folder", str(runs), *SAMPLE]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return ended.stdout, {line.rpartition("|")[2].strip() for line in ended.stderr.splitlines()}


def table_in(output: str) -> list[str]:
    """Return the rows of the epoch table."""
    return [line for line in output.splitlines() if line.rstrip().endswith("checkpoint saved")]


def events(runs: Path) -> list[dict[str, object]]:
    """Return the events of the only run in a folder, as far as they are written."""
    journals = list(runs.glob("*/journal.jsonl"))
    return [
        json.loads(line) for path in journals for line in path.read_text().splitlines(keepends=True) if line[-1] == "\n"
    ]


def wait_for_epoch(epoch: int, runs: Path, process: subprocess.Popen[bytes]) -> None:
    """Return as soon as the checkpoint of an epoch is saved."""
    deadline = time.monotonic() + 120
    while not any(event["event"] == "checkpoint saved" and event["epoch"] == epoch for event in events(runs)):
        assert process.poll() is None, process.stderr.read().decode() if process.stderr else ""
        assert time.monotonic() < deadline
        time.sleep(0.005)
