"""What the bits of a training depend on beside the run."""

import torch

from unbroken.checkpoints.tree import Tree, canonical


def collect_numerics(device: str, threads: int) -> Tree:
    """Return what the bits of a training depend on beside the run: a resume elsewhere is exact only where these agree."""
    return canonical(
        {
            "torch": str(torch.__version__),
            "cpu": torch.backends.cpu.get_cpu_capability(),
            "device": torch.cuda.get_device_name(device) if device.startswith("cuda") else device,
            "threads": threads,
        }
    )
