"""A digest of parsed source changes with what it does, and with nothing else."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from unbroken.code.source import LIBRARY, library_modules, parsed_digest

SOURCE = b'''"""A module."""
import math

RATE = 1


def area(radius: float, *, scale: float = 2.0) -> float:
    """Return an area."""
    # of a circle
    return math.pi * radius**2 * scale
'''


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"    # of a circle\n", b""),
        (b"Return an area", b"Say how large a circle is"),
        (b'    """Return an area."""\n', b""),
        (b'"""A module."""\n', b""),
        (b"RATE = 1", b"RATE   =  1  # a rate"),
        (b"math.pi * radius**2 * scale", b"(\n        math.pi * radius ** 2 * scale\n    )"),
        (b"RATE = 1", b"RATE = 0x1"),
    ],
)
def test_whitespace_comments_and_docstrings_are_no_change(old: bytes, new: bytes):
    edited = SOURCE.replace(old, new)

    assert edited != SOURCE
    assert parsed_digest(edited) == parsed_digest(SOURCE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"RATE = 1", b"RATE = 1.0"),
        (b"RATE = 1", b"RATE = True"),
        (b"RATE = 1", b"RATE = None"),
        (b"RATE = 1", b"RATE = '1'"),
        (b"RATE = 1", b"RATE = b'1'"),
        (b"RATE = 1", b"RATE: int = 1"),
        (b"**2", b"*2"),
        (b"*, scale", b"scale"),
        (b"import math", b"import cmath as math"),
        (b"radius**2 * scale", b"(radius**2 / scale)"),
        (b"    return", b"    yield"),
    ],
)
def test_what_a_module_does_is_a_change(old: bytes, new: bytes):
    edited = SOURCE.replace(old, new)

    assert edited != SOURCE
    assert parsed_digest(edited) != parsed_digest(SOURCE)


def test_the_rooms_that_decide_bits_are_all_there():
    rooms = {path.partition("/")[0] for path in library_modules()}

    assert rooms >= {"batches", "contract", "csv", "data", "features", "models", "optimization", "stages", "training"}
    assert {"checkpoints/format.py", "models/mlp.py", "data/permutation.py"} <= library_modules().keys()


def test_modules_are_parsed_in_many_threads_at_once():
    source = (LIBRARY / "config" / "data.py").read_bytes() * 3

    with ThreadPoolExecutor(8) as pool:
        digests = set(pool.map(lambda _: parsed_digest(source), range(60)))

    assert digests == {parsed_digest(source)}
