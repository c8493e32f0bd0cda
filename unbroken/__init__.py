"""Crash-proof PyTorch training on tabular data. Free of Prefect: usable from torchrun, Ray or a notebook."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unbroken.predict import Predictor

__all__ = ["load"]


def load(path: str, **options: Any) -> "Predictor":
    """Load a published checkpoint, or the champion of a model's folder, for prediction: see `unbroken.predict.load`."""
    from unbroken import predict  # noqa: PLC0415 (torch takes seconds to import)

    return predict.load(path, **options)
