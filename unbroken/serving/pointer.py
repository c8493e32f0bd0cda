"""The pointer of a registry: which version is the champion, and how far retraining has come."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from unbroken.storage.artifact import Artifact
from unbroken.storage.outbox import Intent


@dataclass(frozen=True, kw_only=True)
class Watermark:
    """How far retraining has come: the digests of the files it has seen, or the time of the newest row (UTC, ISO 8601)."""

    files: tuple[str, ...] = ()
    until: str | None = None

    def __post_init__(self) -> None:
        if self.until is not None and datetime.fromisoformat(self.until).tzinfo is not None:
            raise ValueError(f"until: found {self.until}, expected a time without a zone")

    def __str__(self) -> str:
        return f"rows until {self.until}" if self.until else f"{len(self.files)} files"


NOTHING_SEEN = Watermark()
INTENTS = TypeAdapter(list[Intent])


@dataclass(frozen=True, kw_only=True)
class Version(Artifact):
    """A version in the registry: its checkpoint, and the profile of the rows that it was trained on."""

    profile: str

    def __str__(self) -> str:
        return self.digest[:16]


@dataclass(frozen=True, kw_only=True)
class Pointer:
    """What `champion.json` holds.

    Attributes:
        champions: Digests in the order of their promotion; the last one is the champion.
        watermark: How far retraining has come.
        decisions: How many were made.
        last: The last decision, as the audit log has it.
    """

    champions: tuple[Annotated[str, Field(pattern="^[0-9a-f]{64}$")], ...] = ()
    watermark: Watermark = NOTHING_SEEN
    decisions: Annotated[int, Field(ge=0)] = 0
    last: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.last and not (isinstance(self.last.get("event"), str) and type(self.last.get("decision")) is int):
            raise ValueError("last: found no decision, with its event and its number")
        INTENTS.validate_python(self.last.get("effects", []))

    @property
    def intents(self) -> list[Intent]:
        """The effects of the last decision on the world outside."""
        return INTENTS.validate_python(self.last.get("effects", []))

    @property
    def champion(self) -> str | None:
        """The digest of the champion, if there is one."""
        return self.champions[-1] if self.champions else None
