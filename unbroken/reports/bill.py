"""The bill of materials of a version in a registry: CycloneDX 1.6 with a machine-learning model card (ML-BOM), as JSON.

Written here, since cyclonedx-python-lib knows no `modelCard`; the tests hold it against the schema that comes with that library.
The same version gives the same bytes.
"""

import json
import uuid
from pathlib import Path
from typing import Any

from unbroken.reports.card import ModelFacts
from unbroken.serving.registry import Version
from unbroken.storage import atomic

SPEC = "1.6"
SCHEMA = f"http://cyclonedx.org/schema/bom-{SPEC}.schema.json"
MODEL, DATA = "model", "data"
"""What the parts call each other by."""


def bill_of_materials(facts: ModelFacts) -> dict[str, Any]:
    """Return the bill: the model with its digest and card, the data and the model that it started from, the libraries."""
    lineage = facts.manifest["lineage"]
    libraries = _libraries(lineage)
    parent = lineage["warm_from_sha256"]
    components = [_data(lineage["data_sha256"]), *libraries, *([_parent(facts.name, parent)] if parent else [])]
    return {
        "$schema": SCHEMA,
        "bomFormat": "CycloneDX",
        "specVersion": SPEC,
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, facts.manifest['sha256'])}",
        "version": 1,
        "metadata": {"component": _model(facts)},
        "components": components,
        "dependencies": [{"ref": MODEL, "dependsOn": sorted(part["bom-ref"] for part in components)}],
    }


def bill_bytes(facts: ModelFacts) -> bytes:
    """Return the bill as a file."""
    return (json.dumps(bill_of_materials(facts), indent=1) + "\n").encode()


def bill_path(version: Version) -> Path:
    """Return where the bill of a version lies: beside its checkpoint."""
    return Path(version.path).with_suffix(".bom.json")


def _model(facts: ModelFacts) -> dict[str, Any]:
    manifest = facts.manifest
    return {
        "type": "machine-learning-model",
        "bom-ref": MODEL,
        "name": facts.name,
        "version": manifest["sha256"][:16],
        "hashes": _hashes(manifest["sha256"]),
        "modelCard": _card(facts),
        "properties": [
            {"name": "unbroken:run", "value": manifest["run_key"]},
            {"name": "unbroken:epoch", "value": str(manifest["epoch"])},
            {"name": "unbroken:exact", "value": str(bool(manifest["lineage"].get("exact"))).lower()},
            *(
                {"name": f"unbroken:{name}", "value": str(value)}
                for name, value in manifest["lineage"]["numerics"].items()
            ),
        ],
    }


def _card(facts: ModelFacts) -> dict[str, Any]:
    schema, report = facts.manifest["schema"], facts.report
    metrics = [
        {"type": name.removeprefix("test_"), "value": str(value), "slice": "test rows"}
        for name, value in report.test_metrics_by_name().items()
    ]
    return {
        "modelParameters": {
            "approach": {"type": "supervised"},
            "task": "regression" if schema["task"] == "regression" else "classification",
            "modelArchitecture": facts.manifest["lineage"]["config"]["model"]["factory"],
            "datasets": [{"ref": DATA}],
            "inputs": [{"format": f"{feature['name']}: {feature['kind']}"} for feature in schema["features"]],
            "outputs": [{"format": f"{schema['label']['name']}: {schema['label']['kind']}"}],
        },
        "quantitativeAnalysis": {"performanceMetrics": metrics},
        "considerations": {"technicalLimitations": list(facts.limits())},
    }


def _data(digest: str) -> dict[str, Any]:
    return {
        "type": "data",
        "bom-ref": DATA,
        "name": "training data",
        "hashes": _hashes(digest),
        "data": [{"type": "dataset"}],
    }


def _parent(name: str, digest: str) -> dict[str, Any]:
    reference = f"{MODEL}:{digest[:16]}"
    return {
        "type": "machine-learning-model",
        "bom-ref": reference,
        "name": name,
        "version": digest[:16],
        "hashes": _hashes(digest),
    }


def _libraries(lineage: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the libraries that trained the model, each version once."""
    codes = [segment["code"] for segment in lineage.get("code", []) if segment.get("code")]
    pairs = dict.fromkeys(
        (name, one[name].partition("+")[0]) for one in codes for name in ("unbroken", "torch", "python")
    )
    return [
        {
            "type": "platform" if name == "python" else "library",
            "bom-ref": f"{name}@{version}",
            "name": name,
            "version": version,
            **({} if name == "python" else {"purl": f"pkg:pypi/{name}@{version}"}),
        }
        for name, version in pairs
    ]


def _hashes(digest: str) -> list[dict[str, str]]:
    kind = atomic.kind_of_digest(digest)
    return [{"alg": "BLAKE3" if kind else "SHA-256", "content": digest.removeprefix(kind)}]
