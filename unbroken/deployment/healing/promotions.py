"""A promotion without a prediction: the event that starts one may be lost, or the run may die before it is sent."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import DeploymentFilter, FlowFilter, FlowRunFilter, WorkPoolFilter
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.sorting import FlowRunSort
from pydantic import TypeAdapter, ValidationError

from unbroken.config import RetrainConfig
from unbroken.serving.registry import Registry

RETRAINED_SINCE = timedelta(days=1)
DEPLOYMENT = "champion"
"""In the name of the deployment that scores with a new champion."""
MOVES = ("promoted", "rolled back")
"""Events of a registry that give a model another champion."""


@dataclass(frozen=True, kw_only=True)
class Promotion:
    """A champion that came to reign.

    Attributes:
        folder: The model's folder.
        source: The rows that it was retrained for.
        champion: Its digest.
        decision: The number of the decision in the registry.
        time: When it was decided.
    """

    folder: str
    source: str
    champion: str
    decision: int
    time: datetime

    @property
    def key(self) -> str:
        """Names its one prediction: by the model, the rows and the decision, so that a server starts none twice."""
        return f"unbroken prediction of {self.champion} from {self.source}, decision {self.decision} of {self.folder}"


def last_promotion(parameters: dict[str, Any]) -> Promotion | None:
    """Return which champion reigns since the last retraining with these parameters, if its registry can be seen from here."""
    try:
        config = TypeAdapter(RetrainConfig).validate_python(parameters.get("config", {}))
    except ValidationError:
        return None  # it failed with these parameters too
    folder = (Path(config.models_folder) / config.model).absolute()
    if not config.model or not folder.is_dir():
        return None
    registry = Registry(folder)
    champion = registry.pointer.champion
    moves = [event for event in registry.history() if event["event"] in MOVES]
    if champion is None or not moves or moves[-1].get("challenger") != champion:
        return None
    return Promotion(
        folder=str(folder),
        source=config.train.data.source,
        champion=champion,
        decision=moves[-1]["decision"],
        time=datetime.fromisoformat(moves[-1]["time"]),
    )


def is_predicted(promotion: Promotion, predictions: Iterable[FlowRun]) -> bool:
    """Tell whether one of some flow runs scores with the champion of a promotion, as its event lets one do."""
    return any(
        run.created is not None
        and run.created >= promotion.time.astimezone(UTC)
        and promotion.folder in (run.parameters.get("model"), dict(run.parameters.get("config", {})).get("model"))
        for run in predictions
    )


def retrained(client: SyncPrefectClient, now: datetime) -> list[FlowRun]:
    """Return the deployed retrainings that ended lately, however they did."""
    flow = FlowFilter.model_validate({"name": {"any_": ["retrain"]}})
    ended = {"end_time": {"after_": now - RETRAINED_SINCE}, "deployment_id": {"is_null_": False}}
    return client.read_flow_runs(
        flow_filter=flow, flow_run_filter=FlowRunFilter.model_validate(ended), sort=FlowRunSort.END_TIME_DESC
    )


def start_if_missing(client: SyncPrefectClient, promotion: Promotion, pool: str) -> FlowRun | None:
    """Start the prediction of a promotion by the deployment in the pool, unless there is one, or no such deployment.

    Args:
        client: The server.
        promotion: The promotion.
        pool: The work pool of the retraining.
    """
    deployments = _deployments(client, pool)
    if not deployments:
        return None
    theirs = FlowRunFilter.model_validate({"deployment_id": {"any_": [deployment.id for deployment in deployments]}})
    newest = client.read_flow_runs(flow_run_filter=theirs, sort=FlowRunSort.EXPECTED_START_TIME_DESC)
    if is_predicted(promotion, newest):
        return None
    return client.create_flow_run_from_deployment(
        deployments[0].id, parameters={"model": promotion.folder}, idempotency_key=promotion.key
    )


def _deployments(client: SyncPrefectClient, pool: str) -> Sequence[DeploymentResponse]:
    return client.read_deployments(
        flow_filter=FlowFilter.model_validate({"name": {"any_": ["predict"]}}),
        deployment_filter=DeploymentFilter.model_validate({"name": {"like_": DEPLOYMENT}}),
        work_pool_filter=WorkPoolFilter.model_validate({"name": {"any_": [pool]}}),
    )
