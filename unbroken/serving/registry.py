"""The registry of one model: its versions by digest, the champion among them, and every decision with its reason.

    models/<name>/versions/<sha256>.pth   a published checkpoint, with its manifest .json and its training profile .profile.json
    models/<name>/champion.json           the pointer: one file, replaced by one atomic rename
    models/<name>/audit.jsonl             every decision, one line each
    models/<name>/outbox.jsonl            whom a decision is to be told to, and who has been told

Pointer, profiles, manifests and decisions carry a digest of their content (`storage/sealed.py`).
The pointer also holds the watermark of retraining, so that a decision and the data it is about count together or not at all.
`python -m unbroken.registry history NAME`, `... rollback NAME`, `... promote NAME SHA256`.
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from unbroken.errors import CorruptCheckpointError, RegistryError
from unbroken.serving.pointer import NOTHING_SEEN, Pointer, Version, Watermark
from unbroken.storage import atomic, own_files
from unbroken.storage.artifact import Artifact, from_json, to_json
from unbroken.storage.journal import Clock, Event, Journal, utc_now
from unbroken.storage.outbox import Intent, Outbox
from unbroken.storage.sealed import read_sealed, seal
from unbroken.storage.temporary import sweep

__all__ = [
    "AWAITS",
    "NOTHING_SEEN",
    "VERSIONS",
    "Pointer",
    "Registry",
    "Round",
    "Version",
    "Watermark",
    "champion_path",
]

VERSIONS = "versions"
AWAITS = "awaits approval"
"""The event of a challenger that won, and that a person has to approve."""
SHORTEST_PREFIX = 6
"""Fewest hexadecimal digits that may name a version."""


@dataclass(frozen=True, kw_only=True)
class Round:
    """What a round of retraining brought: the URLs of the files that were new in a source."""

    source: str
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Registry:
    """The folder of a model's versions."""

    folder: Path
    clock: Clock = utc_now

    @property
    def pointer(self) -> Pointer:
        """The pointer as it is now; raises DataError if it is not as it was written."""
        path = self.folder / "champion.json"
        return from_json(Pointer, read_sealed(path, "champions"), str(path)) if path.exists() else Pointer()

    def champion(self) -> Version | None:
        """Return the champion, its bytes verified, or None before the first promotion."""
        digest = self.pointer.champion
        return self.version(digest) if digest else None

    def version(self, digest: str) -> Version:
        """Return a version by its digest or the beginning of it; raise RegistryError or CorruptCheckpointError."""
        paths = (
            sorted(self._versions.glob(f"{digest}*.pth")) if len(digest) >= SHORTEST_PREFIX and digest.isalnum() else []
        )
        if len(paths) != 1:
            raise RegistryError(f"{self._versions}: found {len(paths)} versions named {digest!r}, expected one")
        path = paths[0]
        if (bytes_digest := atomic.digest(path)) != path.stem:
            raise CorruptCheckpointError(f"{path}: found SHA-256 {bytes_digest}, expected that of its name")
        return Version(path=str(path), digest=path.stem, profile=str(path.with_suffix(".profile.json")))

    def versions(self) -> list[Version]:
        """Return every version, its bytes verified; raise CorruptCheckpointError if one is not whole."""
        return [self.version(path.stem) for path in sorted(self._versions.glob("*.pth"))]

    def register(self, checkpoint: Artifact, manifest: Artifact, profile: Artifact) -> Version:
        """Copy a published checkpoint with its manifest and training profile durably under its digest."""
        path = self._versions / f"{checkpoint.digest}.pth"
        _copy(profile, path.with_suffix(".profile.json"))
        _copy(manifest, path.with_suffix(".json"))
        _copy(checkpoint, path)
        return self.version(checkpoint.digest)

    def decide(
        self,
        challenger: Version,
        *,
        promote: bool,
        approve: bool = False,
        expected_champion: str | None,
        expected_watermark: Watermark,
        watermark: Watermark,
        effects: Mapping[str, dict[str, Any]] | None = None,
        **details: Any,
    ) -> Pointer:
        """Make the challenger the champion, or keep the present one, and move the watermark, all at once.

        Args:
            challenger: A registered version.
            promote: Whether it becomes the champion.
            approve: Whether it does so only when a person approves: until then the champion stays.
            expected_champion: The digest of the champion it was compared with, if there was one.
            expected_watermark: The watermark when the new rows were looked for.
            watermark: The new watermark.
            effects: The details of what follows in the world outside, by its kind: intents of the outbox, with the decision.
            **details: What else the audit log says of the decision.

        Raises:
            RegistryError: The champion or the watermark is another by now; nothing is changed.
        """
        with self._locked():
            pointer = self.pointer
            if pointer.champion != expected_champion:
                raise RegistryError(
                    f"{self.folder}: the champion is {pointer.champion}, but the challenger was compared with "
                    f"{expected_champion}; run again"
                )
            if pointer.watermark != expected_watermark:
                raise RegistryError(f"{self.folder}: another run has decided about these data meanwhile; run again")
            moves = promote and not approve
            champions = (*pointer.champions, challenger.digest) if moves else pointer.champions
            return self._write_pointer(
                replace(pointer, champions=champions, watermark=watermark),
                "promoted" if moves else AWAITS if promote else "kept the champion",
                {"challenger": challenger.digest, "champion": expected_champion, **details},
                effects or {},
            )

    def promote(self, digest: str) -> Pointer:
        """Make a version the champion by hand."""
        with self._locked():
            pointer, version = self.pointer, self.version(digest)
            return self._write_pointer(
                replace(pointer, champions=(*pointer.champions, version.digest)),
                "promoted",
                {"challenger": version.digest, "champion": pointer.champion, "reason": "by hand"},
            )

    def waiting(self, digest: str) -> Event:
        """Return the decision by which a version awaits approval; raise RegistryError if it does not."""
        with self._locked():
            return self._waiting(digest)

    def _waiting(self, digest: str) -> Event:
        version = self.version(digest)
        about = [event for event in self.history() if event.get("challenger") == version.digest and "decision" in event]
        if not about or about[-1]["event"] != AWAITS:
            last = about[-1]["event"] if about else "nothing"
            raise RegistryError(f"{self.folder}: {version}: found {last!r} of it last, expected {AWAITS!r}")
        return about[-1]

    def approve(self, digest: str) -> Pointer:
        """Make a version that awaits approval the champion; raise RegistryError if another reigns since it won."""
        with self._locked():
            pointer, event = self.pointer, self._waiting(digest)
            if pointer.champion != event.get("champion"):
                raise RegistryError(
                    f"{self.folder}: the champion is {pointer.champion}, but {event['challenger']} won against "
                    f"{event.get('champion')}. Refuse it, or `unbroken registry promote` it all the same"
                )
            return self._write_pointer(
                replace(pointer, champions=(*pointer.champions, event["challenger"])),
                "promoted",
                {"challenger": event["challenger"], "champion": pointer.champion, "reason": "approved"},
                event.get("when_approved", {}),
            )

    def refuse(self, digest: str) -> Pointer:
        """Keep the champion in place of a version that awaits approval."""
        with self._locked():
            pointer, event = self.pointer, self._waiting(digest)
            return self._write_pointer(
                pointer,
                "refused",
                {"challenger": event["challenger"], "champion": pointer.champion, "reason": "by hand"},
                event.get("when_refused", {}),
            )

    def rollback(self) -> Pointer:
        """Make the previous champion the champion again; the watermark stays."""
        with self._locked():
            pointer = self.pointer
            if len(pointer.champions) < 2:
                raise RegistryError(f"{self.folder}: found no champion before this one to go back to")
            version = self.version(pointer.champions[-2])
            return self._write_pointer(
                replace(pointer, champions=pointer.champions[:-1]),
                "rolled back",
                {"champion": pointer.champion, "challenger": version.digest, "reason": "by hand"},
            )

    def note(self, event: str, **details: Any) -> None:
        """Write an event that moves nothing to the audit log."""
        with self._locked():
            self._audit.append(event, **details)

    def history(self) -> list[Event]:
        """Return every event in order."""
        return self._audit.events()

    def last_round(self) -> Round | None:
        """Return what the last round of retraining brought, None before the first, and after one of an earlier version."""
        rounds = [event for event in self.history() if "scores" in event]
        if not rounds or "files" not in rounds[-1]:
            return None
        return Round(source=rounds[-1]["source"], files=tuple(rounds[-1]["files"]))

    @property
    def _versions(self) -> Path:
        return self.folder / VERSIONS

    @property
    def _audit(self) -> Journal:
        return Journal(self.folder / "audit.jsonl", self.clock, sealed=True)

    def outbox(self) -> Outbox:
        """Return what is to be told to the world outside, that of the last decision included."""
        if self.pointer.intents:
            with self._locked():
                pass
        return self._outbox

    @property
    def _outbox(self) -> Outbox:
        return Outbox(self.folder / "outbox.jsonl", self.clock)

    def _write_pointer(
        self,
        pointer: Pointer,
        event: str,
        details: dict[str, Any],
        effects: Mapping[str, dict[str, Any]] = MappingProxyType({}),
    ) -> Pointer:
        """Write the pointer with its last decision and what follows of it, then that decision to the audit log."""
        number = pointer.decisions + 1
        key = f"{self.folder.name}-{number}-{details['challenger'][:12]}"
        intents = [asdict(Intent(key=f"{key}-{kind}", effect=kind, details=needs)) for kind, needs in effects.items()]
        details |= {"effects": intents} if intents else {}
        decided = replace(pointer, decisions=number, last={"event": event, "decision": number, **details})
        atomic.write(self.folder / "champion.json", seal(to_json(decided, indent=1)))
        self._complete_audit()
        return decided

    @contextmanager
    def _locked(self) -> Generator[None]:
        atomic.make_folder(self.folder)
        with own_files.lock(self.folder / "lock"):
            sweep(self.folder, below=True)
            self._complete_audit()
            yield

    def _complete_audit(self) -> None:
        """Write the last decision to the audit log and its effects to the outbox, unless they are there.

        A crash can come between the files.
        """
        pointer = self.pointer
        last = pointer.last
        if pointer.intents:
            self._outbox.add(pointer.intents)
        if last and not any(event.get("decision") == last["decision"] for event in reversed(self._audit.events())):
            self._audit.append(last["event"], **{name: value for name, value in last.items() if name != "event"})


def champion_path(folder: Path) -> Path:
    """Return the path of the champion of a model's folder; raise RegistryError if there is none."""
    champion = Registry(folder).champion()
    if champion is None:
        raise RegistryError(f"{folder}: found no champion.json, expected the folder of a model with a champion")
    return Path(champion.path)


def _copy(artifact: Artifact, path: Path) -> None:
    content = Path(artifact.path).read_bytes()
    atomic.write(path, content)
    if (digest := atomic.digest(path)) != artifact.digest:
        path.unlink()
        raise CorruptCheckpointError(f"{artifact.path}: found SHA-256 {digest}, expected {artifact.digest}")
