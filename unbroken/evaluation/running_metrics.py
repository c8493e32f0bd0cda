"""The metrics of torchmetrics, imported without what it never needs for them.

Where SciPy is installed, `import torchmetrics` imports all of `scipy.signal`, over a second of every start, to give it the name
`hamming` back that old packages for audio use. A stand-in that has this name takes the blow.
"""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from types import ModuleType

SIGNAL = "scipy.signal"


@contextmanager
def without_signal_processing() -> Generator[None]:
    """Keep the imports of a block from importing `scipy.signal`, unless somebody already has."""
    if SIGNAL in sys.modules:
        yield
        return
    stand_in = ModuleType(SIGNAL)
    vars(stand_in)["hamming"] = None
    sys.modules[SIGNAL] = stand_in
    try:
        yield
    finally:
        del sys.modules[SIGNAL]


with without_signal_processing():
    from torchmetrics import Metric, classification, regression

__all__ = ["Metric", "classification", "regression"]
