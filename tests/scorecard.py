"""What the fault suite tried in this session, for the table at its end."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

KINDS = (
    "kill points",
    "random-time SIGKILLs",
    "failing operations",
    "power-loss states",
    "corruptions",
    "bad inputs",
    "racing processes",
    "hostile surroundings",
)


@dataclass
class Scorecard:
    """Counts of what was tried and of what came out wrong, by kind."""

    tried: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)

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

    def counts(self) -> dict[str, tuple[int, int]]:
        """Return what was tried and what failed by kind, as plain values that another process can add."""
        return {kind: (self.tried[kind], self.failed[kind]) for kind in self.tried}

    def add(self, counts: dict[str, tuple[int, int]]) -> None:
        """Add the counts of another process."""
        for kind, (tried, failed) in counts.items():
            self.tried[kind] += tried
            self.failed[kind] += failed

    def lines(self) -> list[str]:
        """Return the table."""
        rows = [f"{kind:<24}{self.tried[kind]:>8}{self.failed[kind]:>10}" for kind in KINDS if self.tried[kind]]
        return [f"{'':<24}{'tried':>8}{'failed':>10}", *rows] if rows else []


def mismatch(case: str, result: object, expected: object) -> str | None:
    """Return how the result of a case differs from the expected one, None if it does not."""
    return None if result == expected else f"{case}: found {result}, expected {expected}"
