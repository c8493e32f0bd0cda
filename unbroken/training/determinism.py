"""What the bits depend on in this process, fixed while a block runs."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch

deterministic: Any = torch.utils.deterministic  # its one attribute is made at import, so no checker sees it


@contextmanager
def reproducible(threads: int) -> Generator[None]:
    """Fix what the bits depend on, and put it back afterwards."""
    before = torch.get_num_threads(), torch.get_deterministic_debug_mode(), _flushes_denormals()
    filling = deterministic.fill_uninitialized_memory
    torch.set_num_threads(threads)
    # As torch.use_deterministic_algorithms, which also imports torch's compiler, more than a second of CPU.
    torch.set_deterministic_debug_mode("error")
    deterministic.fill_uninitialized_memory = False  # costs time, and nothing reads such memory
    # Numbers below 1e-38, as Adam keeps for weights that get no gradient any more, cost a hundred times the others.
    # Torch can leave them out for one thread only.
    torch.set_flush_denormal(threads == 1)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.set_deterministic_debug_mode(before[1])
        deterministic.fill_uninitialized_memory = filling
        torch.set_flush_denormal(before[2])


def _flushes_denormals() -> bool:
    return (torch.tensor(torch.finfo(torch.float32).tiny) / 2).item() == 0
