"""What is wrong with the content of a checkpoint is one error that names the place; the rest is read as torch reads it."""

import copy
import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.contract import encoded
from unbroken.checkpoints.format import decode
from unbroken.checkpoints.inspection import differences
from unbroken.checkpoints.pickled import NEWER_TYPES, STORAGES, read_pickled
from unbroken.checkpoints.tree import Tree, canonical
from unbroken.errors import CheckpointError, CorruptCheckpointError

GOLDEN = sorted((Path(__file__).parents[2] / "golden").rglob("*.pth"))
PATH = Path("runs/0123456789abcdef/checkpoints/epoch-0003.pth")


@pytest.fixture(scope="module")
def whole() -> Tree:
    return decode(GOLDEN[0].read_bytes(), PATH)


def refusal(content: bytes) -> str:
    """Return why a file is refused, which is one paragraph that begins with its path."""
    with pytest.raises(CorruptCheckpointError) as error:
        decode(content, PATH)
    message = str(error.value)
    assert message.startswith(f"{PATH}: ")
    assert len(message) < 500
    return message


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.name)
def test_a_released_checkpoint_is_read_as_torch_reads_it(path: Path):
    tree = torch.load(path, weights_only=True)

    assert differences(decode(path.read_bytes(), path), tree) == []


@pytest.mark.filterwarnings("ignore:ComplexHalf")
@pytest.mark.parametrize("dtype", [*STORAGES.values(), *(getattr(torch, name) for name in NEWER_TYPES)], ids=str)
def test_a_tensor_of_any_type_and_shape_is_read_as_torch_reads_it(dtype: torch.dtype):
    values = torch.randint(0, 2, (96,), dtype=torch.uint8).view(dtype)
    tensors = {
        "a row": values, "a scalar": values[0], "a matrix": values[:6].reshape(2, 3).T, "a part": values[2:6:2], "none": values[:0],
        "no rows": values[:0].reshape(0, 3),
    }  # fmt: skip
    for tree in (tensors, canonical(tensors)):
        content = encoded(tree)
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            read = read_pickled(archive)
        loaded = torch.load(io.BytesIO(content), weights_only=True)
        for name, tensor in loaded.items():
            assert (read[name].dtype, read[name].shape) == (tensor.dtype, tensor.shape), name
            assert bits(read[name]) == bits(tensor), name


def bits(tensor: torch.Tensor) -> list[int]:
    return tensor.contiguous().flatten().view(torch.uint8).tolist()


def group(tree: Tree) -> dict[str, Any]:
    return tree["optimizer_state_dict"]["param_groups"][0]


def deep(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


def many() -> list[Any]:
    value: list[Any] = [1]
    for _ in range(60):
        value = [value, value]
    return value


def itself() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


HUGE = torch.zeros(()).expand([1 << 12] * 4)  # 2^48 elements in four bytes

CHANGES: dict[str, tuple[Callable[[Tree], Any], str]] = {
    "no rng": (lambda tree: tree.pop("rng"), "found no rng"),
    "no history": (lambda tree: tree.pop("history"), "found no history"),
    "no scaler": (lambda tree: tree.pop("scaler"), "found no scaler"),
    "an odd rng": (
        lambda tree: tree["rng"].update(torch=torch.zeros(5056, dtype=torch.uint8)),
        "rng.torch: found torch.uint8 [5056]: ",
    ),
    "a short rng": (
        lambda tree: tree["rng"].update(torch=torch.zeros(9, dtype=torch.uint8)),
        "rng.torch: found torch.uint8 [9]: ",
    ),
    "a rng of floats": (
        lambda tree: tree["rng"].update(torch=torch.zeros(5056)),
        "rng.torch: found torch.float32 [5056], expected bytes",
    ),
    "an entry too few": (lambda tree: tree["history"].pop(), "history: found 3 entries, expected 4"),
    "an entry twice": (
        lambda tree: tree["history"].__setitem__(1, dict(tree["history"][0])),
        "history[1].epoch: found 1, expected 2",
    ),
    "a metric less": (lambda tree: tree["history"][0].pop("test_auroc"), "expected as in each epoch: test_auroc"),
    "a text in the history": (
        lambda tree: tree["history"][0].update(loss="0.5"),
        "history.0.loss: found '0.5', expected a valid number",
    ),
    "a tensor in the history": (
        lambda tree: tree["history"][0].update(loss=torch.zeros(())),
        "history[0].loss: found torch.float32 []",
    ),
    "a loss of NaN": (
        lambda tree: tree["history"][0].update(loss=float("nan")),
        "history[0].loss: found nan, expected a finite",
    ),
    "a sum of NaN": (
        lambda tree: tree["loss_sum"].fill_(float("nan")),
        "loss_sum: found torch.float64 [], expected a finite float64",
    ),
    "a sum of 32 bits": (lambda tree: tree.update(loss_sum=torch.zeros(())), "loss_sum: found torch.float32 []"),
    "a number for the sum": (
        lambda tree: tree.update(loss_sum=0.0),
        "loss_sum: found 0.0, expected a finite float64 scalar",
    ),
    "epoch True": (lambda tree: tree.update(epoch=True), "epoch: found True, expected a valid integer"),
    "epoch as a tensor": (lambda tree: tree.update(epoch=torch.tensor(3)), "epoch: found torch.int64 []"),
    "epoch as a float": (lambda tree: tree.update(epoch=3.0), "epoch: found 3.0, expected a valid integer"),
    "a negative step": (lambda tree: tree.update(step=-1), "step: found -1, expected greater than or equal to 0"),
    "a huge step": (lambda tree: tree.update(step=10**300), "step: found 1000"),
    "a key of a run that is none": (lambda tree: tree.update(run_key="../../etc"), "run_key: found '../../etc'"),
    "a number for a weight": (lambda tree: tree["model_state_dict"].update(a=1.0), "expected tensors, but a is 1.0"),
    "weights in a dict": (
        lambda tree: tree.update(model_state_dict={"layers": tree["model_state_dict"]}),
        "layers is a dict of 4",
    ),
    "a list of weights": (
        lambda tree: tree.update(model_state_dict=list(tree["model_state_dict"].values())),
        "model_state_dict: found a list",
    ),
    "moments by name": (
        lambda tree: tree["optimizer_state_dict"]["state"].update(a={}),
        "optimizer_state_dict.state.a",
    ),
    "no groups": (
        lambda tree: tree["optimizer_state_dict"].pop("param_groups"),
        "found no optimizer_state_dict.param_groups",
    ),
    "a schedule that is a number": (
        lambda tree: tree.update(scheduler_state_dict=3),
        "scheduler_state_dict: found 3, expected a valid dict",
    ),
    "threads without end": (
        lambda tree: tree["numerics"].update(threads=10**9),
        "numerics.threads: found 1000000000, expected less",
    ),
    "an odd size of the model": (lambda tree: tree["config"]["model"]["options"].update(hidden=["a"]), "config.model"),
    "a tensor as a setting": (
        lambda tree: tree["config"]["model"]["options"].update(hidden=torch.ones(1)),
        "options.hidden: found torch",
    ),
    "an infinite range": (
        lambda tree: tree["scaler"]["numbers"][0].update(high=float("inf")),
        "scaler.numbers[0]: found",
    ),
    "a column too few": (
        lambda tree: tree["scaler"].update(numbers=tree["scaler"]["numbers"][1:]),
        "scaler.numbers: found other columns",
    ),
    "another label": (lambda tree: tree["schema"]["label"].update(name="x"), "scaler.schema: found another one"),
    "three classes of two": (lambda tree: tree["schema"].update(classes=(0, 1, 2)), "scaler.schema: found another one"),
    "classes of two types": (
        lambda tree: [
            part.update(classes=(0, True))
            for part in (tree["schema"], tree["scaler"]["schema"], tree["scaler"]["label"])
        ],
        "scaler.schema.classes: found 2 different ones",
    ),
    "terabytes in four bytes": (
        lambda tree: tree["model_state_dict"].update(a=HUGE),
        "found a tensor of size (4096, 4096, 4096, 4096)",
    ),
    "a sparse tensor": (
        lambda tree: tree["model_state_dict"].update(a=torch.zeros(2, 2).to_sparse()),
        "_rebuild_sparse_tensor",
    ),
    "a tensor without memory": (
        lambda tree: tree["model_state_dict"].update(a=torch.empty(2, device="meta")),
        "_rebuild_meta_tensor",
    ),
    "a quantized tensor": (
        lambda tree: tree["model_state_dict"].update(a=torch.quantize_per_tensor(torch.zeros(2), 1.0, 0, torch.quint8)),
        "_rebuild_qtensor",
    ),
    "a set": (lambda tree: tree.update(hooks={"a": {"b": {1}}}), "builtin"),
    "bytes": (lambda tree: tree.update(hooks={"a": {"b": b"1"}}), "_codecs.encode"),
    "a complex number": (lambda tree: tree.update(hooks={"a": {"b": 1j}}), "builtin"),
    "lists 100 deep": (lambda tree: tree.update(hooks={"a": {"b": deep(100)}}), "nested deeper than 64"),
    "a list 2^60 times": (
        lambda tree: tree.update(hooks={"a": {"b": many()}}),
        "nested deeper than 64, or one that holds itself",
    ),
    "a list that holds itself": (
        lambda tree: tree.update(hooks={"a": {"b": itself()}}),
        "nested deeper than 64, or one that holds itself",
    ),
    "hooks in a list": (lambda tree: tree.update(hooks=[1]), "hooks: found a list of 1"),
}


@pytest.mark.filterwarnings("ignore:torch.quantize", "ignore:TypedStorage", "ignore:torch.ao")
@pytest.mark.parametrize("name", CHANGES)
def test_odd_content_is_refused_by_its_place(name: str, whole: Tree):
    change, words = CHANGES[name]
    tree = copy.deepcopy(whole)
    change(tree)

    assert words in refusal(encoded(tree))


def with_pickle(content: bytes, pickled: bytes) -> bytes:
    """Return a checkpoint with another pickle inside, and checksums that fit."""
    result = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(result, "w") as new:
        for name in old.namelist():
            new.writestr(name, pickled if name.endswith("data.pkl") else old.read(name))
    return result.getvalue()


PICKLES = {
    "nothing": b"",
    "no end": b"\x80\x02}",
    "a stop alone": b"\x80\x02.",
    "an item of nothing": b"\x80\x02]s.",
    "a list as a key": b"\x80\x02}]K\x01s.",
    "a name of the system": b"\x80\x02cos\nsystem\n.",
    "a call of what is no function": b"\x80\x02ctorch\nFloatStorage\n)R.",
    "a tensor of nothing": b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.",
    "a tensor of a text": b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(X\x01\x00\x00\x00aK\x00))\x89}tR.",
    "a storage that is none": b"\x80\x02K\x01Q.",
    "a memo without a place": b"\x80\x02h\x05.",
    "a memo of gigabytes": b"\x80\x02K\x01r\xff\xff\xff\x7f.",
    "an attribute": b"\x80\x02ccollections\nOrderedDict\n)R}b.",
    "a text without an end": b"\x80\x02X\xff\xff\xff\x7fa.",
    "a text that is none": b"\x80\x02X\x01\x00\x00\x00\xff.",
    "an unknown opcode": b"\x80\x02\xfe.",
    "a later protocol": pickle.dumps({"format": 1}, protocol=5),
    "marks without end": b"\x80\x02" + b"(" * 100_000 + b".",
}


@pytest.mark.parametrize("name", PICKLES)
def test_an_odd_pickle_is_refused_without_advice_to_load_it_unsafely(name: str):
    content = with_pickle(GOLDEN[0].read_bytes(), PICKLES[name])

    message = refusal(content)

    assert "holds more than tensors and plain values, or is no checkpoint" in message
    for advice in ("weights_only", "safe_globals", "trust", "torch.load"):
        assert advice not in message


def test_a_part_that_is_shorter_than_its_tensor_says_is_refused():
    result = io.BytesIO()
    with zipfile.ZipFile(GOLDEN[0]) as old, zipfile.ZipFile(result, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name)[: 4 if name.endswith("data/0") else None])

    assert "found 4 bytes for 80 elements of torch.float32 in part 0" in refusal(result.getvalue())


@pytest.mark.parametrize(
    "value", [{1}, b"1", 1j, object(), Path("a"), torch.float32], ids=lambda value: type(value).__name__
)
def test_what_could_not_be_read_back_is_not_written(value: object):
    with pytest.raises(CheckpointError, match="to be kept in a checkpoint, expected tensors and plain values"):
        canonical({"hooks": {"own": [value]}})
