"""End a cycle: register the challenger, then move champion, watermark and audit log together."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from unbroken.config import RetrainConfig
from unbroken.retraining.data_check import DataCheck
from unbroken.retraining.datasets import CycleDatasets
from unbroken.retraining.effects import approval_effects, effects_of, ways
from unbroken.retraining.gate import Verdict
from unbroken.retraining.new_data import Cycle, registry_of
from unbroken.retraining.seen_rows import record_path
from unbroken.serving.registry import Version
from unbroken.serving.signature import sign
from unbroken.storage import atomic
from unbroken.storage.artifact import Artifact
from unbroken.storage.publication import require_manifest


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What became of a challenger, the digest of the champion now, and what the challenger started from.

    Attributes:
        approval: By which commands it is approved or refused, if it won and awaits that.
    """

    verdict: Verdict
    challenger: Version
    champion: str | None
    start: str = ""
    approval: str = ""

    @property
    def name(self) -> str:
        """What became of it, in a word or two."""
        if self.approval:
            return "Awaiting approval"
        return "Promoted" if self.verdict.promote else "Kept"

    def __str__(self) -> str:
        return (
            f"{self.verdict}; champion {self.champion[:16] if self.champion else 'none'}; "
            f"the challenger started {self.start}{'; ' * bool(self.approval)}{self.approval}"
        )


def promote(
    cycle: Cycle,
    datasets: CycleDatasets,
    check: DataCheck,
    challenger: Artifact,
    verdict: Verdict,
    config: RetrainConfig,
    page: str | None = None,
) -> Decision:
    """Register the challenger and do what the verdict says, by one move of the pointer; or let it await a person's approval.

    Args:
        cycle: Names the champion it was compared with, and the watermarks.
        datasets: Name the rows that the challenger saw, and what it started from.
        check: Holds the profile of the challenger's training rows.
        challenger: A published checkpoint, its manifest beside it.
        verdict: What the gate said.
        config: Names the model, and who is told of the decision: see `effects`.
        page: The URL of the flow run; None without Prefect.

    Raises:
        ConfigError: The winner is to be signed, and cannot be.
        RegistryError: The champion or the watermark is another by now; nothing is changed.
    """
    registry = registry_of(config)
    manifest = Artifact.of(require_manifest(Path(challenger.path), challenger.digest))
    version = registry.register(challenger, manifest, check.profile)
    if datasets.seen:
        atomic.write(record_path(version.path), Path(datasets.seen.path).read_bytes())
    waits = verdict.promote and config.promotion.approve
    if verdict.promote and config.promotion.signing_key and not waits:
        sign(Path(version.path), Path(config.promotion.signing_key))
    pointer = registry.decide(
        version,
        promote=verdict.promote,
        approve=waits,
        expected_champion=cycle.champion.digest if cycle.champion else None,
        expected_watermark=cycle.watermark,
        watermark=cycle.next_watermark,
        data=cycle.data,
        source=config.train.data.source,
        files=[file.url for file in cycle.new],
        left_out=list(cycle.broken),
        reason=verdict.reason,
        start=datasets.start,
        scores=asdict(verdict),
        **_what_follows(verdict, cycle, version, config, page),
    )
    way = ways(config, version.digest) if waits else ""
    return Decision(verdict=verdict, challenger=version, champion=pointer.champion, start=datasets.start, approval=way)


def _what_follows(
    verdict: Verdict, cycle: Cycle, version: Version, config: RetrainConfig, page: str | None
) -> dict[str, Any]:
    """Return what follows of a decision: at once, or when a person has approved or refused."""
    if not (verdict.promote and config.promotion.approve):
        return {"effects": effects_of(verdict, cycle, config, page)}
    key = config.promotion.signing_key
    return approval_effects(verdict, cycle, version.digest, config, page) | ({"signing_key": key} if key else {})
