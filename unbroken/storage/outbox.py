"""Effects on the world outside, each once: an intent with a key is written down first, and `done` once the effect is there.

A process that dies in between leaves the intent, and whoever looks next has the effect. Where it died after the effect and
before `done`, the world is asked by the key whether it has it; a receiver that cannot be asked gets it again, under the same
key.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from unbroken.storage import own_files
from unbroken.storage.journal import Clock, Journal, utc_now

INTENT, DONE = "intent", "done"


@dataclass(frozen=True, kw_only=True)
class Intent:
    """An effect that is to be had.

    Attributes:
        key: Names it: by this the world knows that it has it.
        effect: Its kind.
        details: What it needs, as JSON.
    """

    key: str
    effect: str
    details: dict[str, Any] = field(default_factory=dict)


Effect = Callable[[Intent], None]
"""Brings an effect about, unless the world has it already; raises if it cannot."""


@dataclass(frozen=True, slots=True)
class Outbox:
    """The file of the intents, and beside it a lock by which one process at a time has effects."""

    path: Path
    clock: Clock = utc_now

    def add(self, intents: Iterable[Intent]) -> None:
        """Write down intents, durably, but for those whose key is there already."""
        known = {event.get("key") for event in self._journal.events()}
        for intent in intents:
            if intent.key not in known:
                self._journal.append(INTENT, **asdict(intent))

    def pending(self) -> list[Intent]:
        """Return the intents that are not done, in order."""
        events = self._journal.events()
        done = {event.get("key") for event in events if event["event"] == DONE}
        return [
            Intent(key=event["key"], effect=event["effect"], details=event["details"])
            for event in events
            if event["event"] == INTENT and event["key"] not in done
        ]

    def finish(self, key: str) -> None:
        """Write down, durably, that an effect is there, or that nobody wants it any more."""
        self._journal.append(DONE, key=key)

    def deliver(self, effects: Mapping[str, Effect]) -> list[str]:
        """Have every pending effect of the kinds at hand; the others wait for a process that knows them.

        Args:
            effects: What brings each kind about.

        Returns:
            Why effects could not be had, a line each; they stay pending.
        """
        if not any(intent.effect in effects for intent in self.pending()):
            return []
        failures = []
        with own_files.lock(self.path.with_suffix(".lock")):
            for intent in self.pending():  # once more: another process may have been at work
                if intent.effect in effects and (failure := self._deliver(intent, effects[intent.effect])):
                    failures.append(failure)
        return failures

    def _deliver(self, intent: Intent, effect: Effect) -> str | None:
        try:
            effect(intent)
        except Exception as error:  # one receiver that is away must not keep the others from being told
            return f"{intent.effect} {intent.key}: {error}"
        self.finish(intent.key)
        return None

    @property
    def _journal(self) -> Journal:
        return Journal(self.path, self.clock, sealed=True, durable=True)
