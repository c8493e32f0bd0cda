"""A round of retraining reduced to its decision and what follows of it, in a world that counts what it is told."""

from pathlib import Path
from typing import Any

from tests.crash.disk import Faults, Operation, watched
from unbroken.serving.registry import NOTHING_SEEN, Registry, Version, Watermark
from unbroken.storage import atomic
from unbroken.storage.artifact import Artifact
from unbroken.storage.outbox import Effect, Intent

SEEN = Watermark(files=("new",))
ASKED, UNASKED = "asked", "unasked"


class World:
    """What is outside: a line for each time that something was told to it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "world"

    def lines(self) -> list[str]:
        return self.path.read_text().splitlines() if self.path.exists() else []

    def tell(self, intent: Intent) -> None:
        with self.path.open("a") as file:
            file.write(f"{intent.key}\n")

    def tell_once(self, intent: Intent) -> None:
        if intent.key not in self.lines():
            self.tell(intent)

    @property
    def effects(self) -> dict[str, Effect]:
        return {ASKED: self.tell_once, UNASKED: self.tell}


def registry_in(folder: Path) -> Registry:
    return Registry(folder / "models" / "rows")


def register(folder: Path) -> Version:
    parts = []
    for name in ("checkpoint.pth", "checkpoint.json", "profile.json"):
        atomic.write(folder / "made" / name, name.encode())
        parts.append(Artifact.of(folder / "made" / name))
    return registry_in(folder).register(*parts)


FOLLOWS = {ASKED: {}, UNASKED: {"text": "promoted"}}


def complete_round(folder: Path, approve: bool = False) -> None:
    """Do what a round does: have what is left, decide unless that is done, have what follows; then approve if that is asked."""
    registry, world = registry_in(folder), World(folder)
    registry.outbox().deliver(world.effects)
    if registry.pointer.watermark != SEEN:
        marks: dict[str, Any] = {"expected_watermark": NOTHING_SEEN, "watermark": SEEN}
        follows: dict[str, Any] = {"when_approved": FOLLOWS} if approve else {"effects": FOLLOWS}
        registry.decide(register(folder), promote=True, approve=approve, expected_champion=None, **marks, **follows)
    if approve and registry.pointer.champion is None:
        (path,) = (registry.folder / "versions").glob("*.pth")
        registry.approve(path.stem)
    registry.outbox().deliver(world.effects)


def operations_of_a_round(folder: Path, approve: bool = False) -> list[Operation]:
    operations: list[Operation] = []
    with watched(folder / "models", operations.append):
        complete_round(folder, approve)
    return operations


def killed_round(folder: Path, faults: Faults, approve: bool = False) -> None:
    with watched(folder / "models", faults.judge):
        complete_round(folder, approve)
