"""Checkpoint bytes: equal for equal content, and readable by plain torch."""

import io
from pathlib import Path

import torch

from unbroken import checkpoint
from unbroken.state import canonical


def tree_of(text: str) -> dict[str, object]:
    # Texts made at run time are not interned, unlike literals.
    name = "".join(text)
    return {
        "a": name,
        "b": [name, text],
        "weights": torch.arange(6.0).reshape(2, 3).T,
        "betas": (0.9, 0.999),
        "none": None,
    }


def test_equal_content_gives_equal_bytes_however_it_came_about():
    first = checkpoint.encode(canonical(tree_of("cosine")))
    loaded = torch.load(io.BytesIO(first), weights_only=True)

    again = checkpoint.encode(canonical(loaded))

    assert again == first


def test_content_written_without_care_for_identity_differs_which_is_why_it_is_made_canonical():
    tree = tree_of("cosine")
    loaded = torch.load(io.BytesIO(checkpoint.encode(tree)), weights_only=True)

    assert checkpoint.encode(loaded) != checkpoint.encode(tree)


def test_a_snapshot_does_not_follow_later_changes():
    weights = torch.zeros(3)
    taken = canonical({"weights": weights, "history": [{"loss": 1.0}]})

    weights.add_(1)

    assert torch.equal(taken["weights"], torch.zeros(3))


def test_a_view_is_stored_alone_and_not_with_all_it_is_a_view_of(tmp_path: Path):
    big = torch.zeros(1_000_000)

    assert len(checkpoint.encode(canonical({"weights": big[:10]}))) < 10_000


def test_numerics_name_what_the_bits_depend_on():
    assert checkpoint.numerics("cpu", 2) == {
        "torch": str(torch.__version__),
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "device": "cpu",
        "threads": 2,
    }
