"""What the bits of a training depend on in the machine, beside torch: the processor, and what limits its instructions."""

import os
import platform
from collections.abc import Mapping
from pathlib import Path

PROCESSOR = ("vendor_id", "model name", "CPU implementer", "CPU part")
"""What Linux says of a processor: the first two on x86, the last two on ARM."""

LIMITS = (
    "ATEN_CPU_CAPABILITY",
    "DNNL_MAX_CPU_ISA",
    "MKL_CBWR",
    "MKL_DEBUG_CPU_TYPE",
    "MKL_ENABLE_INSTRUCTIONS",
    "NVIDIA_TF32_OVERRIDE",
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "ONEDNN_MAX_CPU_ISA",
    "OPENBLAS_CORETYPE",
)
"""Settings of the environment by which the libraries below torch take other instructions."""

Machine = dict[str, str]


def describe_machine(environment: Mapping[str, str] = os.environ, processors: Path = Path("/proc/cpuinfo")) -> Machine:
    """Return the processor and the limits of a process, by their names.

    Args:
        environment: The settings of the process.
        processors: What Linux says of the processors.
    """
    limits = {name: environment[name] for name in LIMITS if name in environment}
    return {"architecture": platform.machine(), **_processor(processors), **limits}


def _processor(processors: Path) -> Machine:
    if not processors.is_file():
        return {"model name": platform.processor()}
    lines = processors.read_text(errors="replace").partition("\n\n")[0].splitlines()
    pairs = (line.partition(":") for line in lines)
    return {name.strip(): value.strip() for name, _, value in pairs if name.strip() in PROCESSOR}
