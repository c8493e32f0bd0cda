"""The end of a round: the challenger enters the registry, and the verdict, the champion and the watermark change together."""

from dataclasses import asdict, dataclass
from pathlib import Path

from unbroken.config import RetrainConfig
from unbroken.retraining.data_check import DataCheck
from unbroken.retraining.gate import Verdict
from unbroken.retraining.new_data import Cycle, registry_of
from unbroken.serving.registry import Version
from unbroken.storage.artifact import Artifact


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What became of a challenger, and who is the champion now."""

    verdict: Verdict
    challenger: Version
    champion: str | None

    def __str__(self) -> str:
        return f"{self.verdict}; champion {self.champion[:16] if self.champion else 'none'}"


def promote(
    found: Cycle, checked: DataCheck, challenger: Artifact, verdict: Verdict, config: RetrainConfig
) -> Decision:
    """Register the challenger and do what the verdict says, by one move of the pointer; RegistryError if the champion changed."""
    registry = registry_of(config)
    manifest = Artifact.of(Path(challenger.path).with_suffix(".json"))
    version = registry.register(challenger, manifest, checked.profile)
    pointer = registry.decide(
        version,
        promote=verdict.promote,
        expected_champion=found.champion.digest if found.champion else None,
        expected_watermark=found.before,
        watermark=found.after,
        data=found.data,
        reason=verdict.reason,
        scores=asdict(verdict),
    )
    return Decision(verdict=verdict, challenger=version, champion=pointer.champions[-1] if pointer.champions else None)
