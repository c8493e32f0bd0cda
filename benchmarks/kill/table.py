"""Kill each framework's training and type its command again; say where it goes on and what comes out.

`python -m benchmarks.kill.table`, with names to measure some: `lightning skorch`.
"""

import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from benchmarks.kill import task
from benchmarks.kill.process import KILLED_AT, command, steps_of

FILE = Path(__file__).with_name("results.json")
EVERY_STEPS = 8
"""How often some save inside an epoch."""
SCRIPTS = {
    "unbroken": ("Unbroken", None),
    "lightning": ("Lightning", "lightning"),
    "skorch": ("skorch", "skorch"),
    "pytorch": ("the tutorial's loop, PyTorch", "torch"),
}
"""By the end of the module's name: what it is called, and its package."""
BY_STEPS = ("unbroken", "lightning")
"""Those that also save inside an epoch."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a training that was killed.

    Attributes:
        name: Of the framework, with its version.
        every_steps: How often it saved inside an epoch; None at the end of each epoch alone.
        first_step: The first step that the second process took.
        same: Whether the weights have the bytes of a training that was left alone.
        repeatable: Whether two trainings have the same losses as long as nobody kills them.
    """

    name: str
    every_steps: int | None
    first_step: int
    same: bool
    repeatable: bool


def outcome(script: str, every_steps: int | None, folder: Path) -> Outcome:
    """Kill a framework's training, type its command again, and hold the end against that of one that was left alone."""
    name, package = SCRIPTS[script]
    alone, killed = folder / f"{script}-alone", folder / f"{script}-killed-{every_steps}"
    undisturbed = (alone / "digest").read_text("utf-8") if alone.exists() else str(command(script, alone, None))
    (alone / "digest").write_text(undisturbed, "utf-8")
    command(script, killed, every_steps, KILLED_AT)
    resumed = command(script, killed, every_steps)
    before, after = steps_of(killed)
    return Outcome(
        name=f"{name} {version(package)}" if package else name,
        every_steps=every_steps,
        first_step=after[0][0],
        same=resumed == undisturbed,
        repeatable=before == steps_of(alone)[0][: len(before)],
    )


def measure(scripts: Sequence[str]) -> list[Outcome]:
    """Measure some, keep what came out beside what was measured before, and return all of it."""
    kept = json.loads(FILE.read_text("utf-8")) if FILE.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        for every_steps in (None, EVERY_STEPS):
            for script in scripts:
                if every_steps is None or script in BY_STEPS:
                    kept[f"{script} {every_steps}"] = asdict(outcome(script, every_steps, Path(folder)))
                    FILE.write_text(json.dumps(kept, indent=1) + "\n", "utf-8")
    return outcomes()


def outcomes() -> list[Outcome]:
    """Return what was measured."""
    kept = json.loads(FILE.read_text("utf-8"))
    names = [f"{script} {every_steps}" for every_steps in (None, EVERY_STEPS) for script in SCRIPTS]
    return [Outcome(**kept[name]) for name in names if name in kept]


def table(results: list[Outcome]) -> str:
    """Return the outcomes as a table in Markdown."""
    lines = [
        f"| killed at step {KILLED_AT} of {task.STEPS * task.EPOCHS} | it saves | the same command again | same bytes in the end |",
        "|---|---|---|---|",
    ]
    for result in results:
        saves = f"every {result.every_steps} steps" if result.every_steps else f"each epoch ({task.STEPS} steps)"
        resumes = f"goes on with step {result.first_step}" if result.first_step != 1 else "begins anew"
        same = ("yes" if result.same else "**no**") if result.repeatable else "its bytes differ anyway"
        lines.append(f"| {result.name} | {saves} | {resumes} | {same} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(measure(sys.argv[1:] or tuple(SCRIPTS))))
