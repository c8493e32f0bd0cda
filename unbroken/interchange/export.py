"""Write a published model in a format that needs no Unbroken: checked against `predict` first, then put in place as a whole."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from unbroken.config.validation import require_local_path
from unbroken.errors import ConfigError, ExportError
from unbroken.interchange import onnx_file, torch_files
from unbroken.serving.prediction import Predictor, load_predictor
from unbroken.storage import atomic


@dataclass(frozen=True, kw_only=True)
class Format:
    """A format: what makes the content of its files, and the packages that this needs, with the extra that brings them."""

    content: Callable[[Predictor], bytes]
    packages: tuple[str, ...] = ()


FORMATS = {
    "onnx": Format(content=onnx_file.content, packages=("onnx", "onnxscript")),
    "pt2": Format(content=torch_files.program_content),
    "safetensors": Format(content=torch_files.weights_content, packages=("safetensors",)),
}
"""By the ending of their files, which is also the name of the extra that brings their packages."""


class Loaded(Protocol):
    """What has a model loaded: what `train` returned, or the `model_` of an estimator."""

    @property
    def predictor(self) -> Predictor:
        """The model."""
        ...


def export(
    model: str | Path | Predictor | Loaded,
    target: str | Path,
    *,
    format: str | None = None,
    factory: str | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a published model in another format, durably, and return the path.

    Args:
        model: A `checkpoint.pth`, the folder of a model, of which the champion is taken, or what `load` or `train` returned,
            or the `model_` of an estimator.
        target: The file to write.
        format: `onnx`, `pt2` or `safetensors`; what the target ends with when not given.
        factory: As for `load`.
        overwrite: Whether a file that is there is replaced.

    Raises:
        ConfigError: There is no such format, a package is missing, or something is at the target.
        ExportError: The network cannot be written in this format, or computes other outputs there; nothing is written.
        UnbrokenError: The model cannot be loaded: see `load`.
    """
    require_local_path("target", str(target))
    target = Path(target)
    kind = _format(target, format)
    if target.is_dir() or (target.exists() and not overwrite):
        raise ConfigError(f"target: found something at {target}, expected a new name; set overwrite to replace a file")
    predictor = _predictor(model, factory)
    if (device := next(predictor.model.parameters()).device.type) != "cpu":
        raise ExportError(f"model: found one on {device}, expected it on the CPU. Load it without a device")
    atomic.write(target, kind.content(predictor))
    return target


def _predictor(model: str | Path | Predictor | Loaded, factory: str | None) -> Predictor:
    if isinstance(model, str | Path):
        return load_predictor(model, factory=factory)
    return model if isinstance(model, Predictor) else model.predictor


def _format(target: Path, name: str | None) -> Format:
    """Return the format that is meant."""
    word = name if name is not None else target.suffix.removeprefix(".")
    if word not in FORMATS:
        raise ConfigError(f"format: found {word!r} for {target}, expected one of {', '.join(FORMATS)}")
    for package in FORMATS[word].packages:
        if find_spec(package) is None:
            raise ConfigError(f"format: found {word}, but {package} is not installed: pip install 'unbroken[{word}]'")
    return FORMATS[word]
