"""What the fault suite tried in this session, and how long a recovery took, for the tables at its end."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

KINDS = (
    "kill points",
    "random-time SIGKILLs",
    "failing operations",
    "power-loss states",
    "corruptions",
    "bad inputs",
    "racing processes",
    "hostile surroundings",
    "deaths of deployed runs",
)


@dataclass
class Scorecard:
    """Counts of what was tried and of what came out wrong, by kind."""

    tried: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    recoveries: dict[str, list[float]] = field(default_factory=dict)
    """By what died: the seconds until the training had gone on."""

    def judge(self, kind: str, outcomes: Sequence[str | None]) -> None:
        """Count cases of a kind; fail the test, naming the first few failures, unless all came out right.

        Args:
            kind: One of KINDS.
            outcomes: One for each case that was tried: what went wrong, None if nothing did.
        """
        assert kind in KINDS, kind
        assert outcomes, f"{kind}: nothing was tried"
        failures = [outcome for outcome in outcomes if outcome is not None]
        self.tried[kind] += len(outcomes)
        self.failed[kind] += len(failures)
        assert not failures, f"{len(failures)} of {len(outcomes)} {kind} went wrong:\n" + "\n".join(failures[:10])

    def recovered(self, death: str, seconds: float) -> None:
        """Note how long it took after a death until the training had gone on."""
        self.recoveries.setdefault(death, []).append(seconds)

    def counts(self) -> dict[str, Any]:
        """Return all that is counted, as plain values that another process can add."""
        return {"tried": dict(self.tried), "failed": dict(self.failed), "recoveries": self.recoveries}

    def add(self, counts: dict[str, Any]) -> None:
        """Add the counts of another process, if it sent any."""
        self.tried.update(counts.get("tried", {}))
        self.failed.update(counts.get("failed", {}))
        for death, seconds in counts.get("recoveries", {}).items():
            self.recoveries.setdefault(death, []).extend(seconds)

    def lines(self) -> list[str]:
        """Return the tables."""
        rows = [f"{kind:<24}{self.tried[kind]:>8}{self.failed[kind]:>10}" for kind in KINDS if self.tried[kind]]
        faults = [f"{'':<24}{'tried':>8}{'failed':>10}", *rows] if rows else []
        times = [
            f"{death:<24}{median(seconds):>8.0f}{max(seconds):>10.0f}" for death, seconds in self.recoveries.items()
        ]
        return [*faults, *([f"{'seconds to recovery':<24}{'median':>8}{'longest':>10}", *times] if times else [])]


def mismatch(case: str, result: object, expected: object) -> str | None:
    """Return how the result of a case differs from the expected one, None if it does not."""
    return None if result == expected else f"{case}: found {result}, expected {expected}"
