"""What an MLflow server is told: of each run once its settings, metrics per epoch, checkpoint and model; and who is champion.

A run of ours is one run there, found again by its key however often it is started. What is already there is not told
again, so an attempt that died in between leaves nothing double. `python -m unbroken.tracking MODEL_FOLDER URI` tells it the
champion, as after a rollback.
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
        found = client.search_runs([experiment], filter_string=f"tags.`{KEY}` = '{run.key}'")
        known = found[0] if found else client.create_run(experiment, tags={KEY: run.key}, run_name=run.key)
        tracked = cls(client, experiment, known.info.run_id)
        settings = identity(config) | {"data_source": config.data.source, "data_sha256": run.fingerprint}
        client.log_batch(tracked.id, params=[Param(*pair) for pair in _flat(settings)])
        return tracked

    def log_epochs(self, history: History, run: Run) -> None:
        """Log the metrics of each epoch that the server does not have, at the time the journal gives."""
        known = {name: self._epochs(name) for name in history[0] if name != "epoch"}
        for entry, millis in zip(history, _times(history, run), strict=True):
            epoch = int(entry["epoch"])
            names = [name for name in known if epoch not in known[name]]
            if names:
                self.client.log_batch(self.id, [Metric(name, entry[name], millis, epoch) for name in names])

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

    def _epochs(self, name: str) -> set[int]:
        return {point.step for point in self.client.get_metric_history(self.id, name)}


def track(restored: Restored, run: Run, config: Config) -> str:
    """Tell the server all of a finished run; return the address of the run there."""
    tracked = TrackedRun.open(run, config)
    tracked.log_epochs(RunReport.read(run).history, run)
    tracked.log_model(restored, run, config.model.factory)
    return f"{config.tracking.uri}/#/experiments/{tracked.experiment}/runs/{tracked.id}"


def set_champion(tracking: TrackingConfig, registry: Registry) -> int | None:
    """Register the champion under the name of its folder and give it the alias `champion`; return the version there.

    None without a champion, or if the server was never told of it.
    """
    champion, name = registry.champion(), registry.folder.name
    client = MlflowClient(tracking_uri=tracking.uri)
    model = logged_model(client, _experiment(client, tracking.experiment), champion.digest) if champion else None
    if champion is None or model is None:
        return None
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name)
    known = [each for each in client.search_model_versions(f"name = '{name}'") if each.tags[DIGEST] == champion.digest]
    version = (
        known[0]
        if known
        else client.create_model_version(
            name, model.model_uri, model.source_run_id, tags={DIGEST: champion.digest}, model_id=model.model_id
        )
    )
    client.set_registered_model_alias(name, CHAMPION, str(version.version))
    return int(version.version)


def logged_model(client: MlflowClient, experiment: str, digest: str) -> LoggedModel | None:
    """Return the model on the server that is the checkpoint of a digest."""
    found = client.search_logged_models([experiment], filter_string=f"tags.`{DIGEST}` = '{digest}'")
    return next((model for model in found if model.status == "READY"), None)


def _experiment(client: MlflowClient, name: str) -> str:
    if (known := client.get_experiment_by_name(name)) is not None:
        return known.experiment_id
    try:
        return client.create_experiment(name)
    except MlflowException:  # another run was faster
        if (known := client.get_experiment_by_name(name)) is None:
            raise
        return known.experiment_id


def _times(history: History, run: Run) -> list[int]:
    """Return when each epoch was saved, in milliseconds since 1970.

    One whose process died before it could say so has the time of the next that did.
    """
    saved = {event["epoch"]: event["time"] for event in Journal(run.journal).events() if _ends_epoch(event)}
    times, later = list[int](), round(run.manifest.stat().st_mtime * 1000)
    for entry in reversed(history):
        if (told := saved.get(int(entry["epoch"]))) is not None:
            later = round(datetime.fromisoformat(told).timestamp() * 1000)
        times.append(later)
    return times[::-1]


def _ends_epoch(event: dict[str, Any]) -> bool:
    return event["event"] == "checkpoint saved" and not event["step"]


def _flat(settings: dict[str, Any], above: str = "") -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for name, value in settings.items():
        inner = isinstance(value, dict) and value
        pairs += _flat(value, f"{above}{name}.") if inner else [(f"{above}{name}", str(value)[:LONGEST_PARAM])]
    return pairs
