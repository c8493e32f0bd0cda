"""Before any training: how far the new rows drifted from those of the champion, and what the rules say of it."""

from dataclasses import dataclass
from pathlib import Path

from unbroken import atomic, drift
from unbroken.artifact import Artifact, from_json, to_json
from unbroken.drift import Drift, Finding, Profile
from unbroken.find_new_data import Round, blocking, registry_of
from unbroken.prepare_data import Prepared, as_file
from unbroken.retrain_config import RetrainConfig


@dataclass(frozen=True, kw_only=True)
class DataReport:
    """What was measured against the champion's rows, column by column, and what passed a limit."""

    drifts: tuple[Drift, ...] = ()
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Checked:
    """The report, and the profile of the challenger's training rows, which the next round is measured against."""

    report: Artifact
    profile: Artifact
    warnings: int

    def __str__(self) -> str:
        return f"limits passed: {self.warnings}" if self.warnings else "nothing to remark"


def check_data(found: Round, prepared: Prepared, config: RetrainConfig) -> Checked:
    """Write the drift report and the training profile; raise DataError, noted in the audit log, if a rule blocks."""
    report = _report(found, prepared, config)
    report_path, profile_path = found.path / "data_report.json", found.path / "profile.json"
    atomic.write(report_path, to_json(report, indent=1))
    with blocking(registry_of(config), found.data):
        drift.enforce(list(report.findings), found.data)
    profile = drift.profile(prepared.training_files, prepared.schema)
    atomic.write(profile_path, to_json(profile, indent=1))
    return Checked(report=Artifact.of(report_path), profile=Artifact.of(profile_path), warnings=len(report.findings))


def _report(found: Round, prepared: Prepared, config: RetrainConfig) -> DataReport:
    if found.champion is None:
        return DataReport()
    path = Path(found.champion.profile)
    before = from_json(Profile, path.read_bytes(), str(path))
    now = drift.profile([as_file(prepared.fresh)], prepared.schema, like=before)
    return DataReport(drifts=tuple(drift.compare(before, now)), findings=tuple(drift.check(before, now, config.checks)))
