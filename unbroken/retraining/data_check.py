"""Before any training: how far the new rows drifted from those of the champion, and what the rules say of it."""

from dataclasses import dataclass
from pathlib import Path

from unbroken.config import RetrainConfig
from unbroken.retraining.datasets import CycleDatasets
from unbroken.retraining.drift import Drift, Finding, check_drift, enforce_rules, measure_drift
from unbroken.retraining.new_data import Cycle, blocking, registry_of
from unbroken.retraining.profile import Profile, profile_rows
from unbroken.storage import atomic
from unbroken.storage.artifact import Artifact, from_json, to_json


@dataclass(frozen=True, kw_only=True)
class DataReport:
    """What was measured against the champion's rows, column by column, and what passed a limit."""

    drifts: tuple[Drift, ...] = ()
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, kw_only=True)
class DataCheck:
    """The report, and the profile of the challenger's training rows, which the next round is measured against."""

    report: Artifact
    profile: Artifact
    warnings: int

    def __str__(self) -> str:
        return f"limits passed: {self.warnings}" if self.warnings else "nothing to remark"


def check_data(found: Cycle, prepared: CycleDatasets, config: RetrainConfig) -> DataCheck:
    """Write the drift report and the training profile; raise DataError, noted in the audit log, if a rule blocks."""
    report = _report(found, prepared, config)
    report_path, profile_path = found.path / "data_report.json", found.path / "profile.json"
    atomic.write(report_path, to_json(report, indent=1))
    with blocking(registry_of(config), found.data):
        enforce_rules(list(report.findings), found.data)
    profile = profile_rows(prepared.training, prepared.schema)
    atomic.write(profile_path, to_json(profile, indent=1))
    return DataCheck(report=Artifact.of(report_path), profile=Artifact.of(profile_path), warnings=len(report.findings))


def _report(found: Cycle, prepared: CycleDatasets, config: RetrainConfig) -> DataReport:
    if found.champion is None:
        return DataReport()
    path = Path(found.champion.profile)
    before = from_json(Profile, path.read_bytes(), str(path))
    now = profile_rows([prepared.fresh], prepared.schema, like=before)
    return DataReport(drifts=tuple(measure_drift(before, now)), findings=tuple(check_drift(before, now, config.checks)))
