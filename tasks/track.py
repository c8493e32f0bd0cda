"""After the stages, if `tracking.uri` is set: an MLflow server is told of the run."""

from unbroken.config import Config
from unbroken.orchestration.task_decorators import uncached_task
from unbroken.run import Run
from unbroken.stages.results import Restored


@uncached_task
def track(restored: Restored, run: Run, config: Config) -> str:
    """Log settings, metrics per epoch, the checkpoint and the model, each once; return the URL of the run there."""
    from unbroken.integrations import mlflow_tracking as library  # noqa: PLC0415 (an extra)

    return library.track(restored, run, config)
