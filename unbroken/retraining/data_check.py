"""Check new rows before any training: measure their drift from the champion's rows, and enforce the rules on it."""

from dataclasses import dataclass, replace
from pathlib import Path

from unbroken.config import RetrainConfig
from unbroken.retraining.datasets import CycleDatasets
from unbroken.retraining.drift import Drift, Finding, check_drift, enforce_rules, measure_drift
from unbroken.retraining.new_data import Cycle, audit_data_errors, registry_of
from unbroken.retraining.profile import Profile, profile_rows
from unbroken.storage import atomic
from unbroken.storage.artifact import Artifact, from_json, to_json
from unbroken.storage.sealed import read_sealed, seal

LIMITS = "no limit of `checks` that blocks is exceeded"


@dataclass(frozen=True, kw_only=True)
class DataReport:
    """What was measured against the champion's rows, column by column, and what exceeded a limit."""

    drifts: tuple[Drift, ...] = ()
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, kw_only=True)
class DataCheck:
    """The report, and the profile of the challenger's training rows, which the next cycle is measured against."""

    report: Artifact
    profile: Artifact
    warnings: int

    def __str__(self) -> str:
        return f"limits exceeded: {self.warnings}" if self.warnings else "nothing to remark"


def check_data(cycle: Cycle, datasets: CycleDatasets, config: RetrainConfig) -> DataCheck:
    """Write the drift report and the training profile; raise BlockedError, noted in the audit log, if a rule blocks."""
    report = _measure(cycle, datasets, config)
    report_path, profile_path = cycle.path / "data_report.json", cycle.path / "profile.json"
    atomic.write(report_path, to_json(report, indent=1))
    with audit_data_errors(registry_of(config), cycle.data, LIMITS, report_path):
        enforce_rules(list(report.findings), cycle.data)
    profile = profile_rows(datasets.training, datasets.schema)
    atomic.write(profile_path, seal(to_json(profile, indent=1)))
    return DataCheck(report=Artifact.of(report_path), profile=Artifact.of(profile_path), warnings=len(report.findings))


def _measure(cycle: Cycle, datasets: CycleDatasets, config: RetrainConfig) -> DataReport:
    if cycle.rival is None:
        return DataReport()
    path = Path(cycle.rival.profile)
    reference = from_json(Profile, read_sealed(path, "rows"), str(path))
    kinds = {column.name: column.kind for column in reference.columns[:-1]}
    features = tuple(column for column in datasets.schema.features if kinds.get(column.name) == column.kind)
    columns = {column.name: column for column in reference.columns}
    own = tuple(columns[column.name] for column in (*features, datasets.schema.label))
    reference = replace(reference, columns=own)
    current = profile_rows([datasets.new], replace(datasets.schema, features=features), reference)
    drifts = measure_drift(reference, current)
    return DataReport(drifts=tuple(drifts), findings=tuple(check_drift(reference, current, config.checks)))
