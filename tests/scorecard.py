"""What the fault suite tried in this session, for the table at its end."""

from collections import Counter
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

    def judge(self, kind: str, failures: list[str], tried: int) -> None:
        """Count cases of a kind; fail the test, naming the first few, unless all came out right."""
        assert kind in KINDS, kind
        assert tried > 0, f"{kind}: nothing was tried"
        self.tried[kind] += tried
        self.failed[kind] += len(failures)
        assert not failures, f"{len(failures)} of {tried} {kind} went wrong:\n" + "\n".join(failures[:10])

    def lines(self) -> list[str]:
        """Return the table."""
        rows = [f"{kind:<24}{self.tried[kind]:>8}{self.failed[kind]:>10}" for kind in KINDS if self.tried[kind]]
        return [f"{'':<24}{'tried':>8}{'failed':>10}", *rows] if rows else []
