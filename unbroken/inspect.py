"""Look into what was saved: `python -m unbroken.inspect list|verify|diff RUN [OTHER]`.

Nothing is changed. Exit code 0: fine; 1: corrupt, or not the same; 2: the question cannot be answered.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text
from torch import Tensor

from unbroken import checkpoint
from unbroken.errors import CheckpointError, CorruptCheckpointError, UnbrokenError
from unbroken.journal import Journal
from unbroken.state import Tree
from unbroken.store import CheckpointStore, Entry

FINE, FAULTY, USER_ERROR = 0, 1, 2
TOLD = ("format", "run_key", "epoch", "step", "schema", "scaler")
"""What a manifest repeats of its checkpoint."""
WIDTH = 132


@dataclass(frozen=True, slots=True)
class Verdict:
    """A file, and what is wrong with it, if anything is."""

    path: Path
    complaint: str | None


def entries(run: Path) -> list[Entry]:
    """Return the checkpoints of a run's folder, newest first; raise CheckpointError if it is none or has none."""
    folder = run / "checkpoints"
    if not folder.is_dir():
        raise CheckpointError(
            f"{run}: found no folder {folder.name}, expected the folder of a run, e.g. runs/0123456789abcdef"
        )
    if found := CheckpointStore(folder, Journal(run / "journal.jsonl")).entries():
        return found
    raise CheckpointError(f"{folder}: found no checkpoint; train first")


def verify(run: Path) -> Iterator[Verdict]:
    """Judge each file of a run that has a digest: its checkpoints, what is published, and the manifest beside it."""
    for entry in entries(run):
        yield _judge(entry.path, entry.digest)
    published, manifest = run / "checkpoint.pth", run / "checkpoint.json"
    if published.exists() or manifest.exists():
        yield from _judge_published(published, manifest)


def differences(one: Tree, other: Tree) -> list[tuple[str, str, str]]:
    """Return the name and both values of each leaf in which two checkpoints differ by at least a bit."""
    here, there = dict(checkpoint.leaves(one, "")), dict(checkpoint.leaves(other, ""))
    names = dict.fromkeys([*here, *there])
    pairs = [(name, here.get(name, "nothing"), there.get(name, "nothing")) for name in names]
    return [(name[1:], *_told(left, right)) for name, left, right in pairs if _bits(left) != _bits(right)]


def load(path: Path) -> Tree:
    """Read a checkpoint file, or the newest checkpoint of a run's folder."""
    if path.is_dir():
        return entries(path)[0].read()
    if not path.exists():
        raise CheckpointError(f"{path}: found nothing there, expected a checkpoint or the folder of a run")
    return checkpoint.read(path)


def main(arguments: list[str]) -> int:
    """Answer a command line and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m unbroken.inspect", description=(__doc__ or "").partition("\n\n")[2]
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (("list", "epochs, sizes and metrics of a run"), ("verify", "check all digests of a run")):
        commands.add_parser(name, help=text).add_argument("run", type=Path, metavar="RUN")
    compare = commands.add_parser("diff", help="compare two checkpoints, or the newest ones of two runs, leaf by leaf")
    compare.add_argument("run", type=Path, metavar="RUN")
    compare.add_argument("other", type=Path, metavar="OTHER")
    given = parser.parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    answers = {"list": _list, "verify": _verify, "diff": _diff}
    try:
        return answers[given.command](given, console)
    except CorruptCheckpointError as error:
        return _fail(error, FAULTY)
    except (UnbrokenError, OSError) as error:
        return _fail(error, USER_ERROR)


def _list(given: argparse.Namespace, console: Console) -> int:
    found = [(entry, _metrics(entry)) for entry in entries(given.run)]
    names = next((list(metrics) for _, metrics in found if metrics), [])
    headings = [name.replace("_", "\n") for name in names]
    table = Table(Column("checkpoint", no_wrap=True), "epoch", "step", "bytes", *headings, box=SIMPLE_HEAD)
    for entry, metrics in found:
        values = ["corrupt"] if metrics is None else [f"{metrics.get(name, float('nan')):.4f}" for name in names]
        size = f"{entry.path.stat().st_size:,}"
        table.add_row(entry.path.name, str(entry.epoch), str(entry.step or ""), size, *values)
    console.print(table)
    return FAULTY if any(metrics is None for _, metrics in found) else FINE


def _verify(given: argparse.Namespace, console: Console) -> int:
    verdicts = list(verify(given.run))
    for verdict in verdicts:
        console.print(Text(f"{'whole  ' if verdict.complaint is None else 'CORRUPT'} {verdict.path}"))
        if verdict.complaint:
            console.print(Text(f"        {verdict.complaint}"))
    return FAULTY if any(verdict.complaint for verdict in verdicts) else FINE


def _diff(given: argparse.Namespace, console: Console) -> int:
    found = differences(load(given.run), load(given.other))
    if not found:
        console.print("the same, to the bit")
        return FINE
    name, left, right = found[0]
    console.print(
        Text(f"{len(found)} leaves differ, the first is {name}:\n  {given.run}: {left}\n  {given.other}: {right}")
    )
    return FAULTY


def _judge_published(published: Path, manifest: Path) -> Iterator[Verdict]:
    """Judge the manifest by the checkpoint, which says of itself all but its digest, and the checkpoint by that."""
    try:
        told = json.loads(manifest.read_bytes())
        digest = str(told["sha256"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        yield Verdict(manifest, f"found no SHA-256 in it ({error!r}); type the training's command again")
        return
    verdict = _judge(published, digest)
    yield verdict
    if verdict.complaint is None:
        tree = checkpoint.read(published)
        expected = {name: tree[name] for name in TOLD} | {"metrics": tree["history"][-1]}
        wrong = [name for name, value in expected.items() if _plain(told.get(name)) != _plain(value)]
        yield Verdict(manifest, f"{', '.join(wrong)}: not as in {published.name}" if wrong else None)


def _plain(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _judge(path: Path, digest: str) -> Verdict:
    try:
        checkpoint.read(path, digest)
    except CheckpointError as error:
        return Verdict(path, str(error))
    return Verdict(path, None)


def _metrics(entry: Entry) -> dict[str, float] | None:
    """Return the metrics of the last whole epoch in a checkpoint, or None if it is corrupt."""
    try:
        history = entry.read()["history"]
    except CorruptCheckpointError:
        return None
    return {name: value for name, value in history[-1].items() if name != "epoch"} if history else {}


def _bits(value: Any) -> object:
    if isinstance(value, Tensor):
        return str(value.dtype), tuple(value.shape), value.contiguous().numpy().tobytes()
    return repr(value)


def _told(left: Any, right: Any) -> tuple[str, str]:
    """Return two different values in words; of two tensors alike in shape, the first element that differs."""
    if not (isinstance(left, Tensor) and isinstance(right, Tensor)):
        return _summary(left), _summary(right)
    if (left.dtype, left.shape) != (right.dtype, right.shape):
        return _summary(left), _summary(right)
    # What is equal in value may differ in bits: a zero and a negative one.
    places = ((left != right) | (left.signbit() != right.signbit())).flatten().nonzero().flatten().tolist()
    place = places[0] if places else 0
    one, other = (part.flatten()[place].item() for part in (left, right))
    return f"{len(places)} of {left.numel()} elements differ, [{place}] is {one!r}", f"[{place}] is {other!r}"


def _summary(value: Any) -> str:
    return f"{value.dtype} {list(value.shape)}" if isinstance(value, Tensor) else repr(value)


def _fail(error: Exception, code: int) -> int:
    Console(stderr=True, width=WIDTH).print(Text(f"error: {error}"))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
