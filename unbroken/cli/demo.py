"""`unbroken demo`: a training is killed for real, resumed, and its bytes compared with those of one left alone."""

import dataclasses
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console

from unbroken import pipeline
from unbroken.cli.terminal import FAULTY, FINE
from unbroken.config import Config, DataConfig, ModelConfig, TrainingConfig
from unbroken.errors import TrainingError
from unbroken.run import open_run
from unbroken.storage.journal import Journal

EPOCHS, KILLED_AFTER = 100, 20
PATIENCE_SECONDS = 50.0
POLL_SECONDS = 0.005
CONFIG = Config(
    data=DataConfig(source="sample"),
    model=ModelConfig(options={"hidden": [16], "dropout": 0.2}),
    training=TrainingConfig(epochs=EPOCHS, batch_size=4),
)


def add_arguments(_: str, __: ArgumentParser) -> None:
    """Add nothing."""


def run(_: str, __: Namespace, console: Console) -> int:
    """Train once undisturbed and once with a SIGKILL in the middle, and say whether the bytes are the same."""
    with tempfile.TemporaryDirectory(prefix="unbroken-demo-") as folder:
        undisturbed = dataclasses.replace(CONFIG, runs_folder=str(Path(folder, "undisturbed")))
        killed = dataclasses.replace(CONFIG, runs_folder=str(Path(folder, "killed")))
        console.print(f"1  a training of {EPOCHS} epochs on the built-in sample, left alone")
        expected = pipeline.train(undisturbed).digest
        console.print(f"   sha256 of checkpoint.pth  {expected}", soft_wrap=True)
        console.print("2  the same training in a process of its own, killed by SIGKILL in the middle")
        console.print(f"   killed after {kill_in_the_middle(killed)} of {EPOCHS} epochs")
        console.print("3  the same training again")
        resumed = pipeline.train(killed).digest
        console.print(f"   {_resumption(killed)}")
        console.print(f"   sha256 of checkpoint.pth  {resumed}", soft_wrap=True)
    same = resumed == expected
    console.print("the same bytes" if same else "OTHER BYTES: please report this")
    return FINE if same else FAULTY


def kill_in_the_middle(config: Config) -> int:
    """Train in a child process, kill it once the journal tells of some epochs, and return how many were saved."""
    settings = {
        "data.source": config.data.source,
        "model.options": str(config.chosen.model.options).replace("'", '"'),
        "training.epochs": str(config.chosen.epochs),
        "training.batch_size": str(config.training.batch_size),
        "runs_folder": config.runs_folder,
    }
    words = [f"--{name}={value}" for name, value in settings.items()]
    command = [sys.executable, "-m", "unbroken", "train", "--no-orchestrator", *words]
    journal, deadline = Journal(open_run(config).journal), time.monotonic() + PATIENCE_SECONDS
    # In a folder without a project, whose settings would make it another training; the library comes from here all the same.
    library = str(Path(__file__).parents[2])
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([library, os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    }
    folder = Path(config.runs_folder).parent
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None and time.monotonic() < deadline:
            if _saved(journal) >= KILLED_AFTER:
                process.kill()
                break
            time.sleep(POLL_SECONDS)
        process.kill()
    epochs = _saved(journal)
    if not 0 < epochs < EPOCHS:
        raise TrainingError(f"{journal.path}: found {epochs} saved epochs after the kill, expected some and not all")
    return epochs


def _saved(journal: Journal) -> int:
    return sum(event["event"] == "checkpoint saved" and not event["step"] for event in journal.events())


def _resumption(config: Config) -> str:
    event = next(event for event in Journal(open_run(config).journal).events() if event["event"] == "resumed")
    return f"resumed from epoch {event['epoch']}" + (f", step {event['step']}" if event["step"] else "")
