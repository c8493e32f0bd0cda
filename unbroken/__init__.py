"""Crash-proof PyTorch training on tabular data. Free of Prefect: usable from torchrun, Ray or a notebook."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unbroken.serving.prediction import Predictor

__all__ = ["load"]


def load(path: str, **options: Any) -> "Predictor":
    """Load a published checkpoint, or the champion of a model's folder, for prediction: see `serving.prediction.load_predictor`."""
    from unbroken.serving.prediction import load_predictor  # noqa: PLC0415 (torch takes seconds to import)

    return load_predictor(path, **options)
