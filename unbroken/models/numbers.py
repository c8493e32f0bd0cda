"""Numbers as vectors: each one is scaled, and enters a network through a small network of its own."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

QUANTILES = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0], dtype=torch.float64)
REACH = 3.0
"""What scaled numbers stay within."""


class RobustScale(nn.Module):
    """Numbers by their median and quartiles, far ones drawn in smoothly to at most 3 (RealMLP, Holzmueller et al., 2024)."""

    median: Tensor
    factor: Tensor

    def __init__(self, numbers: int) -> None:
        super().__init__()
        self.register_buffer("median", torch.full((numbers,), 0.5))
        self.register_buffer("factor", torch.full((numbers,), 4.0))

    @torch.no_grad()
    def learn(self, numbers: Float[Tensor, "rows numbers"]) -> None:
        """Take median and quartiles; of a column whose quartiles are one, the range."""
        for index, column in enumerate(numbers.unbind(1)):
            low, first, median, third, high = column.double().quantile(QUANTILES.to(column.device)).tolist()
            span = third - first or (high - low) / 2
            self.median[index], self.factor[index] = median, 1 / span if span else 0.0

    def forward(self, numbers: Float[Tensor, "rows numbers"]) -> Float[Tensor, "rows numbers"]:
        """Return x / sqrt(1 + (x / 3)^2) of the scaled x."""
        scaled = (numbers - self.median) * self.factor
        return scaled * torch.rsqrt(1 + (scaled / REACH).square())


class PeriodicEmbeddings(nn.Module):
    """Each number x becomes x beside a linear map of cosines of it, with parameters of its own.

    PBLD of RealMLP (Holzmueller, Grinsztajn and Steinwart, 2024), after the periodic embeddings of Gorishniy, Rubachev
    and Babenko (2022). Written out here, so that the digest of the library's source covers it.
    """

    def __init__(self, numbers: int, frequencies: int, width: int, scale: float) -> None:
        """Draw the parameters.

        Args:
            numbers: How many numbers go in.
            frequencies: Cosines of each.
            width: Size of the vector of each, the number itself included.
            scale: Standard deviation of the frequencies, in cycles a unit.
        """
        super().__init__()
        reach = frequencies**-0.5
        self.frequencies = nn.Parameter(nn.init.normal_(torch.empty(numbers, 1, frequencies), 0, 2 * math.pi * scale))
        self.phases = nn.Parameter(nn.init.uniform_(torch.empty(numbers, 1, frequencies), -math.pi, math.pi))
        self.weight = nn.Parameter(nn.init.uniform_(torch.empty(numbers, frequencies, width - 1), -reach, reach))
        self.bias = nn.Parameter(nn.init.uniform_(torch.empty(numbers, 1, width - 1), -reach, reach))

    def forward(self, numbers: Float[Tensor, "batch numbers"]) -> Float[Tensor, "batch vectors"]:
        """Return the vectors of all numbers side by side."""
        columns = numbers.t().unsqueeze(2)
        waves = torch.addcmul(self.phases, columns, self.frequencies).cos()
        vectors = torch.cat([torch.baddbmm(self.bias, waves, self.weight), columns], dim=2)
        return vectors.transpose(0, 1).flatten(1)
