"""A save that fails is made up for by the next, or raised; never forgotten."""

import errno
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from unbroken.checkpoints.background import BackgroundWriter


@dataclass
class Disk:
    """Saves that fail at the given numbers, counted from 1."""

    full_at: set[int]
    tried: int = 0
    saved: list[str] = field(default_factory=list)

    def save(self, name: str) -> Callable[[], None]:
        def write() -> None:
            self.tried += 1
            if self.tried in self.full_at:
                raise OSError(errno.ENOSPC, "No space left on device", name)
            self.saved.append(name)

        return write


def test_saves_happen_in_order_and_all_before_the_end():
    disk = Disk(full_at=set())
    with BackgroundWriter() as saver:
        for name in "abcd":
            saver.submit(disk.save(name), required=True)
    assert disk.saved == ["a", "b", "c", "d"]


def test_a_failed_save_is_made_up_for_by_the_next(caplog: pytest.LogCaptureFixture):
    disk = Disk(full_at={2})
    with BackgroundWriter() as saver:
        for name in "abc":
            saver.submit(disk.save(name), required=True)
    assert disk.saved == ["a", "c"]
    assert "No space left on device: 'b'; training goes on" in caplog.text


def test_inside_an_epoch_any_number_of_failures_is_borne():
    disk = Disk(full_at={1, 2, 3})
    with BackgroundWriter() as saver:
        for name in "abcd":
            saver.submit(disk.save(name), required=False)
    assert disk.saved == ["d"]


def test_a_required_save_that_fails_after_a_failed_one_ends_the_training():
    disk = Disk(full_at={1, 2})

    def train() -> None:
        with BackgroundWriter() as saver:
            saver.submit(disk.save("a"), required=False)
            saver.submit(disk.save("b"), required=True)
            saver.submit(disk.save("c"), required=True)

    with pytest.raises(OSError, match="'b'"):
        train()
    assert disk.saved == []


def test_the_last_save_is_tried_twice():
    disk = Disk(full_at={2})
    with BackgroundWriter() as saver:
        saver.submit(disk.save("a"), required=True)
        saver.submit(disk.save("b"), required=True)
    assert disk.saved == ["a", "b"]


def test_a_last_save_that_fails_twice_is_raised():
    disk = Disk(full_at={1, 2})
    with pytest.raises(OSError, match="'a'"), BackgroundWriter() as saver:
        saver.submit(disk.save("a"), required=True)


def test_an_error_of_the_training_is_raised_with_that_of_the_last_save_as_a_note():
    disk = Disk(full_at={1, 2})

    def train() -> None:
        with BackgroundWriter() as saver:
            saver.submit(disk.save("a"), required=True)
            raise ValueError("diverged")

    with pytest.raises(ValueError, match="diverged") as raised:
        train()
    assert "No space left" in raised.value.__notes__[0]


def test_what_is_no_error_of_the_disk_is_raised_at_once():
    def wrong() -> None:
        raise TypeError("a defect")

    def train() -> None:
        with BackgroundWriter() as saver:
            saver.submit(wrong, required=False)
            saver.submit(lambda: None, required=False)

    with pytest.raises(TypeError, match="a defect"):
        train()
