"""What a model has to beat: a guess that knows no feature."""

import pyarrow as pa
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from unbroken.data.dataset import Dataset
from unbroken.data.parquet import read_dataset
from unbroken.features.spec import FeatureSpec


class ConstantGuess(nn.Module):
    """Gives every row the same logits."""

    def __init__(self, logits: Float[Tensor, " outputs"]) -> None:
        super().__init__()
        self.logits = nn.Buffer(logits)

    def forward(
        self, numbers: Float[Tensor, "batch numbers"], _: Int[Tensor, "batch categories"]
    ) -> Float[Tensor, "batch outputs"]:
        """Return them once for each row."""
        return self.logits.expand(len(numbers), -1)


def constant_guess(train: Dataset, features: FeatureSpec) -> ConstantGuess:
    """Return the guess with the least loss on the rows that train: the shares of the classes, or the mean.

    Args:
        train: The preprocessed rows that train.
        features: Which column is the label, and what is predicted.
    """
    labels = [rows.column(0) for rows in read_dataset(train, [features.label])]
    values = torch.tensor(pa.chunked_array(labels).to_numpy())
    if features.task == "regression":
        return ConstantGuess(values.double().mean()[None].float())
    shares = torch.bincount(values.long(), minlength=len(features.classes)).double() / len(values)
    logits = shares.log() if features.task == "multiclass" else (shares[1] / shares[0]).log()[None]
    return ConstantGuess(logits.float())
