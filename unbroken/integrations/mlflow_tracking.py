"""Log runs to an MLflow server, each once: settings, metrics per epoch, checkpoint and model; and set the champion there.

A run here is one run there, found by its key however often it is started. What is there already is not logged again, so an
attempt that died in between leaves nothing double. `python -m unbroken.tracking MODEL_FOLDER URI` sets the champion, as
after a rollback.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from mlflow.entities.logged_model import LoggedModel
from mlflow.exceptions import MlflowException

from unbroken.checkpoints.history import History
from unbroken.config import Config, TrackingConfig
from unbroken.config.config import identity
from unbroken.integrations import mlflow_model
from unbroken.reports.run import RunReport
from unbroken.run import Run
from unbroken.serving.registry import Registry
from unbroken.stages.results import Restored
from unbroken.storage.journal import Journal

LIBRARY = Path(__file__).parents[1]
KEY, DIGEST = "unbroken.run_key", "unbroken.sha256"
CHAMPION = "champion"

LONGEST_PARAM = 6000
"""MLflow takes no longer value of a parameter."""


@dataclass(frozen=True)
class TrackedRun:
    """One run on the server."""

    client: MlflowClient
    experiment: str
    id: str

    @classmethod
    def open(cls, run: Run, config: Config) -> "TrackedRun":
        """Find the run by its key, or create it, and log its settings."""
        client = MlflowClient(tracking_uri=config.tracking.uri)
        experiment = _experiment(client, config.tracking.experiment)
        runs = client.search_runs([experiment], filter_string=f"tags.`{KEY}` = '{run.key}'")
        remote = runs[0] if runs else client.create_run(experiment, tags={KEY: run.key}, run_name=run.key)
        tracked = cls(client, experiment, remote.info.run_id)
        settings = identity(config) | {"data_source": config.data.source, "data_sha256": run.fingerprint}
        client.log_batch(tracked.id, params=[Param(*pair) for pair in _flatten(settings)])
        return tracked

    def log_epochs(self, history: History, run: Run) -> None:
        """Log the metrics of each epoch that the server does not have, at the time the journal gives."""
        logged_epochs = {name: self._logged_epochs(name) for name in history[0] if name != "epoch"}
        for entry, millis in zip(history, _times(history, run), strict=True):
            epoch = int(entry["epoch"])
            names = [name for name, epochs in logged_epochs.items() if epoch not in epochs]
            if names:
                self.client.log_batch(self.id, [Metric(name, entry[name], millis, epoch) for name in names])

    def log_test_metrics(self, report: RunReport) -> None:
        """Log how the published epoch fared on the test rows, where these were scored for it alone."""
        epoch, metrics = report.manifest["epoch"], report.manifest.get("test_metrics", {})
        new = [
            Metric(name, value, 0, epoch) for name, value in metrics.items() if epoch not in self._logged_epochs(name)
        ]
        if new:
            self.client.log_batch(self.id, new)

    def log_model(self, restored: Restored, run: Run, factory: str) -> None:
        """Log the published checkpoint, its manifest and the model that it is; mark the run as finished."""
        if logged_model(self.client, self.experiment, restored.digest) is None:
            mlflow.set_tracking_uri(self.client.tracking_uri)
            with mlflow.start_run(run_id=self.id):
                mlflow.log_artifact(restored.path)
                mlflow.log_artifact(str(run.manifest))
                mlflow.pyfunc.log_model(
                    name="model",
                    loader_module=mlflow_model.__name__,
                    data_path=restored.path,
                    code_paths=[str(LIBRARY)],
                    model_config={"factory": factory},
                    signature=mlflow_model.signature_of(Path(restored.path), factory),
                    pip_requirements=["torch", "pyarrow", "pandas", "pydantic", "torchmetrics", "fsspec", "filelock"],
                    tags={DIGEST: restored.digest},
                )
        self.client.set_terminated(self.id)

    def _logged_epochs(self, name: str) -> set[int]:
        return {point.step for point in self.client.get_metric_history(self.id, name)}


def track(restored: Restored, run: Run, config: Config) -> str:
    """Log all of a finished run; return the URL of the run there."""
    tracked = TrackedRun.open(run, config)
    report = RunReport.read(run)
    tracked.log_epochs(report.history, run)
    tracked.log_test_metrics(report)
    tracked.log_model(restored, run, config.chosen.model.factory)
    return f"{config.tracking.uri}/#/experiments/{tracked.experiment}/runs/{tracked.id}"


def set_champion(tracking: TrackingConfig, registry: Registry) -> int | None:
    """Register the champion under the name of its folder and give it the alias `champion`.

    Returns:
        The number of the version there; None without a champion, or if its run was never logged.
    """
    champion, name = registry.champion(), registry.folder.name
    client = MlflowClient(tracking_uri=tracking.uri)
    model = logged_model(client, _experiment(client, tracking.experiment), champion.digest) if champion else None
    if champion is None or model is None:
        return None
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name)
    versions = client.search_model_versions(f"name = '{name}'")
    existing = [version for version in versions if version.tags[DIGEST] == champion.digest]
    version = (
        existing[0]
        if existing
        else client.create_model_version(
            name, model.model_uri, model.source_run_id, tags={DIGEST: champion.digest}, model_id=model.model_id
        )
    )
    client.set_registered_model_alias(name, CHAMPION, str(version.version))
    return int(version.version)


def logged_model(client: MlflowClient, experiment: str, digest: str) -> LoggedModel | None:
    """Return the model on the server that is the checkpoint of a digest."""
    models = client.search_logged_models([experiment], filter_string=f"tags.`{DIGEST}` = '{digest}'")
    return next((model for model in models if model.status == "READY"), None)


def _experiment(client: MlflowClient, name: str) -> str:
    """Return the id of an experiment, which is created if it is not there."""
    if (existing := client.get_experiment_by_name(name)) is not None:
        return existing.experiment_id
    try:
        return client.create_experiment(name)
    except MlflowException:  # another run was faster
        if (existing := client.get_experiment_by_name(name)) is None:
            raise
        return existing.experiment_id


def _times(history: History, run: Run) -> list[int]:
    """Return when each epoch was saved, in milliseconds since 1970.

    One whose process died before it could write that down has the time of the next epoch that has one.
    """
    saved = {event["epoch"]: event["time"] for event in Journal(run.journal).events() if _ends_epoch(event)}
    times, millis = list[int](), round(run.manifest.stat().st_mtime * 1000)
    for entry in reversed(history):
        if (time := saved.get(int(entry["epoch"]))) is not None:
            millis = round(datetime.fromisoformat(time).timestamp() * 1000)
        times.append(millis)
    return times[::-1]


def _ends_epoch(event: dict[str, Any]) -> bool:
    return event["event"] == "checkpoint saved" and "epoch" in event and not event.get("step")


def _flatten(settings: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return settings as names with dots and texts."""
    pairs: list[tuple[str, str]] = []
    for name, value in settings.items():
        nested = isinstance(value, dict) and value
        pairs += _flatten(value, f"{prefix}{name}.") if nested else [(f"{prefix}{name}", str(value)[:LONGEST_PARAM])]
    return pairs
