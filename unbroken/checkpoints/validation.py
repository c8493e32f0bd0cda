"""What stands under each key of a checkpoint, held against the format before any of it is used.

Whether it also fits a run, its model and its optimizer, is asked in `compatibility.py`.
"""

import math
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Annotated, Any

import torch
from pydantic import AfterValidator, Field, TypeAdapter, ValidationError
from torch import Tensor

from unbroken.checkpoints.tree import Tree, beyond, leaves
from unbroken.config import DataConfig, ModelConfig
from unbroken.config.training import MOST_THREADS
from unbroken.config.validation import STRICT
from unbroken.data.schema import Schema
from unbroken.features.encoder import Encoder

LARGEST = 2**63 - 1
LONGEST_SHOWN = 60
EXTRA_STATE = "_extra_state"
"""How the name ends under which torch keeps what a module saves beside its tensors."""


def _tensors(value: dict[str, Any]) -> dict[str, Any]:
    for name, tensor in value.items():
        if not isinstance(tensor, Tensor) and not name.endswith(EXTRA_STATE):
            raise ValueError(f"expected tensors, but {name} is {shown(tensor)}")
    return value


def _bytes(value: Any) -> Any:
    if not (isinstance(value, Tensor) and value.dtype == torch.uint8 and value.dim() == 1):
        raise ValueError("expected bytes, the state of a random generator")
    return value


def _double(value: Any) -> Any:
    if not (isinstance(value, Tensor) and value.dtype == torch.float64 and not value.dim() and value.isfinite()):
        raise ValueError("expected a finite float64 scalar")
    return value


Count = Annotated[int, Field(strict=True, ge=0, le=LARGEST)]
Text = Annotated[str, Field(strict=True)]
Number = Annotated[float, Field(strict=True)]
Settings = dict[Text, Any]
State = dict[Any, Any]
Tensors = Annotated[dict[Text, Any], AfterValidator(_tensors)]
Bytes = Annotated[Any, AfterValidator(_bytes)]


@dataclass(frozen=True, kw_only=True)
class OptimizerState:
    """What `torch.optim.Optimizer.state_dict` gives."""

    __pydantic_config__ = STRICT

    state: dict[Count, dict[Text, Any]]
    param_groups: list[dict[Text, Any]]


@dataclass(frozen=True, kw_only=True)
class Generators:
    """The states of torch's random generators."""

    __pydantic_config__ = STRICT

    torch: Bytes
    cuda: list[Bytes]


@dataclass(frozen=True, kw_only=True)
class Numerics:
    """What the bits depend on beside the run."""

    __pydantic_config__ = STRICT

    torch: Text
    cpu: Text
    device: Text
    threads: Annotated[int, Field(strict=True, ge=1, le=MOST_THREADS)]


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """Those of the settings of a training that are read from a checkpoint."""

    optimizer: Text
    optimizer_options: Settings
    seed: Annotated[int, Field(strict=True)]


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """Those of a run's settings that are read from a checkpoint."""

    data: DataConfig
    preprocess: Settings
    model: ModelConfig
    training: TrainingSettings


@dataclass(frozen=True, kw_only=True)
class Content:
    """The keys of a checkpoint.

    Attributes:
        format: 1.
        run_key: 16 hexadecimal digits, the name of the run.
        epoch: Finished epochs.
        step: Optimizer steps since the beginning.
        model_state_dict: The weights that were evaluated and are to be used: tensors by name.
        optimizer_state_dict: The optimizer's moments and parameter groups, as torch gives them.
        scheduler_state_dict: The learning rate schedule, if there is one.
        rng: `torch`: the state of torch's generator; `cuda`: a list of those of the devices.
        loss_sum: float64 scalar: the losses of the rows of the unfinished epoch, added up.
        history: A dict of floats per finished epoch: `epoch`, `learning_rate`, `loss`, `test_loss`, ...
        config: The settings that decide the weights.
        numerics: `torch` (version), `cpu` (instruction set), `device`, `threads`: what the bits depend on too.
        schema: `features` (name and kind each), `label`, `task`, `classes`.
        scaler: The fitted encoder: ranges and fill values of numbers, codes of categories, scale of the label.
        hooks: What each hook with a name remembers; only where one took part.
        trained_state_dict: The weights to train on with; only where others are published.
    """

    format: Count
    run_key: Annotated[str, Field(strict=True, pattern="^[0-9a-f]{16}$")]
    epoch: Count
    step: Count
    model_state_dict: Tensors
    optimizer_state_dict: OptimizerState
    scheduler_state_dict: dict[Text, Any] | None
    rng: Generators
    loss_sum: Annotated[Any, AfterValidator(_double)]
    history: list[dict[Text, Number]]
    config: RunSettings
    numerics: Numerics
    schema: Schema
    scaler: Encoder
    hooks: dict[Text, State] = field(default_factory=dict)
    trained_state_dict: Tensors = field(default_factory=dict)


PLAIN = ("history", "config", "numerics", "schema", "scaler")
"""Keys under which no tensor stands."""


def check_content(tree: Tree) -> None:
    """Hold the content of a checkpoint of this format against it.

    Raises:
        ValueError: It does not fit; names the first key that does not, what was found and expected.
    """
    for part in PLAIN:
        for name, value in leaves(tree.get(part), part):
            if isinstance(value, Tensor):
                raise ValueError(f"{name}: found {shown(value)}, expected a plain value")  # noqa: TRY004 (one error)
    try:
        content = _adapter().validate_python(tree)
    except ValidationError as error:
        raise ValueError(_first_problem(error)) from None
    _check_history(tree)
    _check_encoder(content, tree)
    _check_generator(content)


@cache
def _adapter() -> Any:
    return TypeAdapter(Content)


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False)[0]
    name = ".".join(str(part)[:LONGEST_SHOWN] for part in problem["loc"])
    if problem["type"] == "missing":
        return f"found no {name}"
    expected = problem["msg"].removeprefix("Value error, ").replace("Input should be ", "expected ")
    return f"{name}: found {shown(problem['input'])}{', ' if expected.startswith('expected') else ': '}{expected}"


def shown(value: Any) -> str:
    """Return a value in a few words."""
    if isinstance(value, Tensor):
        return f"{value.dtype} {list(value.shape)}"
    if isinstance(value, dict | list | tuple):
        return f"a {type(value).__name__} of {len(value)}"
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


def _check_history(tree: Tree) -> None:
    """Raise ValueError unless there is an entry for each finished epoch, each with the same names."""
    history = tree["history"]
    if len(history) != tree["epoch"]:
        raise ValueError(f"history: found {len(history)} entries, expected {tree['epoch']}, those of the epochs")
    for index, entry in enumerate(history):
        name, epoch = f"history[{index}]", entry.get("epoch")
        if type(epoch) is not int or epoch != index + 1:
            raise ValueError(f"{name}.epoch: found {shown(epoch)}, expected {index + 1}")
        if strange := {"learning_rate", "loss", *history[-1]} ^ entry.keys():
            raise ValueError(f"{name}: found {', '.join(entry)[:200]}, expected as in each epoch: {min(strange)}")
        for part in ("learning_rate", "loss"):
            if not math.isfinite(entry[part]):
                raise ValueError(f"{name}.{part}: found {entry[part]}, expected a finite number")


def _check_encoder(content: Content, tree: Tree) -> None:
    """Raise ValueError unless the encoder could have been fitted to the columns of the contract."""
    for part, value in (("schema", content.schema), ("scaler", content.scaler)):
        if strange := beyond(tree[part], asdict(value), part):
            raise ValueError(f"{strange}: found more, or of another type, than there is in a {part}")
    if repr(content.scaler.schema) != repr(content.schema):
        raise ValueError("scaler.schema: found another one than in schema")
    try:
        content.scaler.check()
    except ValueError as error:
        raise ValueError(f"scaler.{error}") from None


def _check_generator(content: Content) -> None:
    """Raise ValueError unless torch's generator takes its state; that of another version may be of another size."""
    if content.numerics.torch != str(torch.__version__):
        return
    try:
        torch.Generator().set_state(content.rng.torch)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"rng.torch: found {shown(content.rng.torch)}: {str(error).splitlines()[0]}") from None
