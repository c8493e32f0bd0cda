"""An exponential moving average of the weights, which often predicts better than the weights of the last step."""

from torch import Tensor

from unbroken.checkpoints.tree import Tree
from unbroken.config import TrainingConfig
from unbroken.training.hooks import TrainHook
from unbroken.training.state import TrainState


class MovingAverage(TrainHook):
    """Averages the parameters over the steps (Polyak and Juditsky, 1992); the average is evaluated and published.

    At first each step counts for more, so that the weights of the beginning are soon forgotten: step s keeps at most
    (1 + s) / (10 + s) of the average. Buffers, such as the running statistics of a BatchNorm, are those of the model.
    """

    name = "ema"
    reads_only = True

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.averages: dict[str, Tensor] = {}
        self.pairs: list[tuple[Tensor, Tensor]] = []

    def load_state_dict(self, kept: Tree, weights: Tree) -> None:  # noqa: ARG002 (all that it keeps is published)
        """Take up the averages that were published."""
        self.averages = weights

    def on_start(self, state: TrainState) -> None:
        """Begin with the averages that were taken up, or with the weights as they are."""
        parameters = {name: value.detach() for name, value in state.model.named_parameters(remove_duplicate=False)}
        self.averages = {
            name: self.averages.get(name, value).to(value.device, copy=True) for name, value in parameters.items()
        }
        self.pairs = [(self.averages[name], value) for name, value in parameters.items()]

    def on_step(self, state: TrainState, loss: Tensor) -> None:  # noqa: ARG002 (a hook's signature)
        """Move each average a little towards its parameter."""
        share = 1 - min(self.decay, (1 + state.step) / (10 + state.step))
        for average, parameter in self.pairs:
            average.lerp_(parameter, share)

    def weights(self, state: TrainState) -> Tree:
        """Return the averages, and the buffers of the model."""
        return state.model.state_dict() | self.averages


def configured_hooks(config: TrainingConfig) -> list[TrainHook]:
    """Return the hooks that the settings of a training ask for."""
    return [] if config.ema_decay is None else [MovingAverage(config.ema_decay)]
