"""Several networks of one kind, each with weights of its own, that train side by side and predict by their mean."""

from collections.abc import Iterable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from unbroken.batches.rows import Rows
from unbroken.config import TaskName
from unbroken.models.learning import learn_inputs
from unbroken.models.tabm import mean_of_members


class Ensemble(nn.Module):
    """Networks that differ by the weights they begin with and by their dropout.

    Deep ensembles (Lakshminarayanan, Pritzel and Blundell, 2017). Each learns by a loss of its own from the same batches, so that
    all of them are one model with one state: what resumes one resumes all.
    """

    def __init__(self, networks: Iterable[nn.Module], task: TaskName) -> None:
        """Take the networks, which are of the same kind."""
        super().__init__()
        self.networks, self.task = nn.ModuleList(networks), task

    def learn_inputs(self, rows: Rows) -> None:
        """Show each network that learns of its inputs rows that train."""
        for network in self.networks:
            learn_inputs(network, rows)

    def forward(
        self, numbers: Float[Tensor, "batch numbers"], codes: Int[Tensor, "batch categories"]
    ) -> Float[Tensor, "batch ..."]:
        """Return the logits of the networks' mean; in training mode those of each, [batch, members, outputs]."""
        outputs = [network(numbers, codes) for network in self.networks]
        members = torch.cat([output if output.dim() == 3 else output.unsqueeze(1) for output in outputs], dim=1)
        return members if self.training else mean_of_members(members, self.task)
