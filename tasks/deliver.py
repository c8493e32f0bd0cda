"""Around a retraining: the world outside is told of decisions, of each once."""

from unbroken.config import RetrainConfig
from unbroken.integrations.effects import tracking_effects
from unbroken.orchestration.notification import prefect_effects
from unbroken.orchestration.task_decorators import uncached_task
from unbroken.retraining import effects as library
from unbroken.retraining.new_data import registry_of


@uncached_task
def deliver(config: RetrainConfig) -> None:
    """Have what the outbox of the model holds: the scoring, the alias in MLflow, the notification."""
    if config.model:
        registry = registry_of(config)
        library.deliver(registry, prefect_effects(registry) | tracking_effects(registry))
