"""The model card of a version in a registry: what the run and the decisions about it know, as Markdown.

After Mitchell et al., "Model Cards for Model Reporting" (2019). What no run can know, such as
for whom the model is, it does not say.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unbroken.reports.markdown import escape_markdown, format_gain, format_number, markdown_table, values_table
from unbroken.reports.run import RunReport
from unbroken.serving.registry import Registry, Version
from unbroken.storage.journal import Event
from unbroken.storage.publication import read_manifest, require_manifest


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """What is known of a version.

    Attributes:
        name: The name of its model.
        manifest: The manifest beside its checkpoint.
        decisions: The events about it in the audit log, in order.
        champion: Whether it is the champion.
    """

    name: str
    manifest: dict[str, Any]
    decisions: list[Event]
    champion: bool

    @classmethod
    def of(cls, registry: Registry, version: Version) -> "ModelFacts":
        """Read what is known of a version; raise DataError if its manifest is not whole."""
        return cls(
            name=registry.folder.name,
            manifest=read_manifest(require_manifest(Path(version.path), version.digest)),
            decisions=[event for event in registry.history() if event.get("challenger") == version.digest],
            champion=registry.pointer.champion == version.digest,
        )

    @property
    def report(self) -> RunReport:
        """The report of the run that trained it."""
        return RunReport(manifest=self.manifest, events=[])

    @property
    def gate(self) -> Event | None:
        """The decision of the gate about it, if one was made."""
        return next((event for event in self.decisions if event.get("scores")), None)

    def limits(self) -> Iterator[str]:
        """Yield what is known to limit it, a sentence each."""
        schema, lineage = self.manifest["schema"], self.manifest["lineage"]
        unbeaten = self.report.unbeaten()
        if unbeaten:
            yield f"On the test rows its loss is no better than that of {' and '.join(unbeaten)}."
        if self.report.calibration():
            yield f"How sure it is: {self.report.calibration()}."
        else:
            yield "Nobody knows how sure it is: no rows, or too few, were held out to tell."
        if not self.report.scored_once:
            yield "The test rows were scored beside every epoch, so what is said of them may be too good."
        if schema["task"] != "regression":
            yield f"It knows the classes {', '.join(map(str, schema['classes']))} and answers with no other."
        if any(feature["kind"] == "category" for feature in schema["features"]):
            yield "A category that training did not see is scored as a rare one."
        if not lineage.get("exact", False):
            yield "More than one code or machine trained it, so training it again may give other bits."


def model_card(facts: ModelFacts) -> str:
    """Return the card as Markdown: what it predicts from what, how good it is, its limits, where it comes from."""
    manifest, report = facts.manifest, facts.report
    parts = [
        f"# {escape_markdown(facts.name)}",
        values_table(_summary(facts)),
        "## How good it is",
        "On test rows that no training saw:",
        markdown_table(_metrics(manifest, report)),
        *_gate(facts.gate),
        "## Limits",
        "\n".join(f"- {escape_markdown(limit)}" for limit in facts.limits()),
        "## Columns",
        markdown_table(_columns(manifest)),
        "## Settings",
        values_table(report.settings()),
        "## Lineage",
        values_table(_lineage(facts)),
    ]
    return "\n\n".join(parts) + "\n"


def card_path(version: Version) -> Path:
    """Return where the card of a version lies: beside its checkpoint."""
    return Path(version.path).with_suffix(".card.md")


def _summary(facts: ModelFacts) -> dict[str, object]:
    schema = facts.manifest["schema"]
    return {
        "SHA-256": facts.manifest["sha256"],
        "predicts": schema["label"]["name"],
        "task": schema["task"],
        **({"classes": ", ".join(map(str, schema["classes"]))} if schema["classes"] else {}),
        "from": f"{len(schema['features'])} columns",
        "model": facts.manifest["lineage"]["config"]["model"]["factory"],
        "champion": "yes" if facts.champion else "no",
    }


def _metrics(manifest: dict[str, Any], report: RunReport) -> list[list[str]]:
    own, baselines = report.test_metrics_by_name(), manifest.get("baselines", {})
    rows = [
        [
            name.removeprefix("test_"),
            format_number(value),
            *(format_number(other.get(name)) for other in baselines.values()),
        ]
        for name, value in own.items()
    ]
    return [["metric", "this model", *baselines], *rows]


def _gate(event: Event | None) -> list[str]:
    if event is None:
        return []
    scores = event["scores"]
    rival = "the champion before" if event.get("champion") else "a constant guess"
    interval = f"{format_gain(scores['low'])} .. {format_gain(scores['high'])}"
    text = (
        f"On {scores['rows']:,} rows that neither had seen: {scores['metric']} {format_number(scores['challenger'])} against "
        f"{format_number(scores['champion'])} of {rival}, a gain of {format_gain(scores['gain'])} ({interval}); "
        f"{event['event']}: {event.get('reason', '-')}."
    )
    return [escape_markdown(text)]


def _columns(manifest: dict[str, Any]) -> list[list[str]]:
    """Return each feature with its kind and the values that training saw; the heading first."""
    scaler = manifest["scaler"]
    plain = [number for number in scaler["numbers"] if number["kind"] == "number"]
    ranges = {number["name"]: f"{number['low']:g} .. {number['high']:g}" for number in plain}
    counts = {category["name"]: f"{len(category['values'])} categories" for category in scaler["categories"]}
    rows = [
        [feature["name"], feature["kind"], ranges.get(feature["name"], counts.get(feature["name"], "-"))]
        for feature in manifest["schema"]["features"]
    ]
    return [["column", "kind", "in training"], *rows]


def _lineage(facts: ModelFacts) -> dict[str, object]:
    lineage, gate = facts.manifest["lineage"], facts.gate or {}
    codes = [segment["code"] for segment in lineage.get("code", []) if segment.get("code")]
    return {
        "run": facts.manifest["run_key"],
        "data SHA-256": lineage["data_sha256"],
        **({"source": gate["source"]} if gate.get("source") else {}),
        **({"new data": gate["data"]} if gate.get("data") else {}),
        "started warm from": lineage["warm_from_sha256"] or "-",
        **(
            {"code": ", ".join(dict.fromkeys(f"unbroken {one['unbroken']} ({one['digest']})" for one in codes))}
            if codes
            else {}
        ),
        **lineage["numerics"],
        "decisions": "; ".join(f"{event['time'][:10]} {event['event']}" for event in facts.decisions) or "none",
    }
