"""The layer under the library sees all that it does to the disk; what it misses, no fault could strike."""

from collections import Counter
from pathlib import Path

from tests.crash import power
from tests.crash.disk import Kind
from tests.crash.pipeline import Undisturbed

FLOOR: dict[Kind, int] = {
    "create": 21,
    "write": 39,
    "fsync": 19,
    "fsync folder": 27,
    "rename": 19,
    "unlink": 7,
    "mkdir": 5,
}
"""Operations of the undisturbed run. Fewer of a kind: the library does less, or Python does it past the layer."""


def test_the_layer_sees_every_kind_of_operation_as_often_as_the_library_does_it(undisturbed: Undisturbed) -> None:
    seen = Counter(operation.kind for operation in undisturbed.operations)

    assert seen.keys() == FLOOR.keys()
    assert {kind: seen[kind] for kind, floor in FLOOR.items() if seen[kind] < floor} == {}


def test_the_operations_seen_make_up_every_byte_on_the_disk(undisturbed: Undisturbed) -> None:
    disk = power.Disk()
    for operation in undisturbed.operations:
        disk.do(operation)

    runs = Path(undisturbed.operations[0].path)
    names = {str(path): path.read_bytes() if path.is_file() else None for path in [runs, *runs.rglob("*")]}
    assert {path: None if inode.folder else inode.data for path, inode in disk.seen.items()} == names
