"""A model and a hook of one's own on the flights: a residual net, and the largest gradient of each epoch, printed.

python examples/own_model.py FOLDER
"""

import sys
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

import unbroken
from unbroken.training.hooks import TrainHook
from unbroken.training.state import TrainState

FLIGHTS = Path(__file__).parents[1] / "data" / "flights" / "2013-01.parquet"


class ResidualNet(nn.Module):
    """Two hidden layers, the second added to the first; a category is one number an embedding gives."""

    def __init__(self, features: unbroken.FeatureSpec, width: int) -> None:
        super().__init__()
        self.embeddings = nn.ModuleList(nn.Embedding(category.codes, 1) for category in features.categories)
        self.first = nn.Linear(len(features.numbers) + len(features.categories), width)
        self.second = nn.Linear(width, width)
        self.last = nn.Linear(width, features.outputs)

    def forward(
        self, numbers: Float[Tensor, "batch numbers"], codes: Int[Tensor, "batch categories"]
    ) -> Float[Tensor, "batch outputs"]:
        """Return the logits of a batch."""
        columns = [embedding(codes[:, index]) for index, embedding in enumerate(self.embeddings)]
        hidden = self.first(torch.cat([numbers, *columns], dim=1)).relu()
        return self.last(hidden + self.second(hidden).relu())


class LargestGradient(TrainHook):
    """Prints the largest gradient of each epoch's last step."""

    def on_epoch(self, state: TrainState, entry: dict[str, float]) -> None:
        """Print it beside the epoch's metrics."""
        gradients = [weight.grad.abs().max().item() for weight in state.model.parameters() if weight.grad is not None]
        print(
            f"epoch {entry['epoch']:.0f}: auroc {entry['validation_auroc']:.4f}, largest gradient {max(gradients):.4f}"
        )


def main(folder: Path) -> None:
    """Train on the flights of January and predict some of them."""
    config = unbroken.Config(
        data=unbroken.DataConfig(source=str(FLIGHTS), label="late"),
        model=unbroken.ModelConfig(factory="own_model:ResidualNet", options={"width": 32}),
        training=unbroken.TrainingConfig(epochs=2),
        runs_folder=str(folder),
    )
    model = unbroken.train(config, hooks=[LargestGradient()])
    print(f"published epoch {model.epoch}, sha256 {model.digest}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
