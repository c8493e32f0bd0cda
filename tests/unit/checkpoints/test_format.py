"""Checkpoint bytes: equal for equal content, and readable by plain torch."""

import io
import re
from pathlib import Path

import pytest
import torch

from tests.contract import encoded
from unbroken.checkpoints.format import read_checkpoint
from unbroken.checkpoints.numerics import collect_numerics
from unbroken.checkpoints.tree import canonical
from unbroken.errors import CorruptCheckpointError


def test_equal_content_gives_equal_bytes_however_it_came_about():
    text = "cosine"
    shared = {"first": text, "second": text, "betas": (0.9, 0.999), "weights": torch.arange(6.0).reshape(2, 3).T}
    # After a resume some texts come from the checkpoint and some from the program.
    apart = shared | {"second": "".join(list(text)), "weights": shared["weights"].contiguous()}

    assert encoded(shared) != encoded(apart)
    assert encoded(canonical(shared)) == encoded(canonical(apart))


def test_bytes_are_equal_after_a_round_trip():
    content = encoded(canonical({"a": "cosine", "b": ["cosine", 1, None], "weights": torch.eye(2)}))

    assert encoded(canonical(torch.load(io.BytesIO(content), weights_only=True))) == content


def test_a_snapshot_does_not_follow_later_changes():
    weights = torch.zeros(3)
    taken = canonical({"weights": weights, "history": [{"loss": 1.0}]})

    weights.add_(1)

    assert torch.equal(taken["weights"], torch.zeros(3))


def test_a_view_is_stored_alone_and_not_with_all_it_is_a_view_of(tmp_path: Path):
    big = torch.zeros(1_000_000)

    assert len(encoded(canonical({"weights": big[:10]}))) < 10_000


def test_numerics_name_what_the_bits_depend_on():
    assert collect_numerics("cpu", 2) == {
        "torch": str(torch.__version__),
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "device": "cpu",
        "threads": 2,
    }


def test_a_part_that_claims_to_be_encrypted_or_compressed_is_damage(tmp_path: Path):
    whole, path = encoded(canonical({"weights": torch.eye(2)})), tmp_path / "checkpoint.pth"
    directory_entries = [found.start() for found in re.finditer(b"PK\x01\x02", whole)]
    claims = [
        (start + place, bit) for start in directory_entries for place, bits in ((8, 1), (10, 8)) for bit in range(bits)
    ]
    assert claims

    for place, bit in claims:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :])
        with pytest.raises(CorruptCheckpointError, match=r"checkpoint\.pth"):
            read_checkpoint(path)
