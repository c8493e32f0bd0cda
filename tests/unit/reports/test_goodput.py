"""What interruptions cost, from the events of a journal."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from unbroken.reports.goodput import Goodput
from unbroken.storage.journal import Event, Journal

START = datetime(2030, 1, 1, tzinfo=UTC)


def journal(folder: Path, *events: tuple[float, str, dict[str, int]]) -> list[Event]:
    """Return events at some seconds after the start, as a journal keeps them."""
    times = iter(START + timedelta(seconds=seconds) for seconds, *_ in events)
    written = Journal(folder / "journal.jsonl", clock=lambda: next(times))
    for _, event, details in events:
        written.append(event, **details)
    return written.events()


def at(epoch: int, step: int = 0) -> dict[str, int]:
    return {"epoch": epoch, "step": step}


def test_a_run_never_stopped_loses_nothing(tmp_path: Path):
    events = journal(
        tmp_path, (0, "started", {"epochs": 2}), (10, "checkpoint saved", at(1)), (20, "checkpoint saved", at(2))
    )

    goodput = Goodput.of(events)

    assert (goodput.useful, goodput.lost, goodput.share) == (20, 0, 1)
    assert [(one.origin, one.reached) for one in goodput.attempts] == [("the beginning", "epoch 2")]


def test_from_the_save_that_was_taken_up_to_the_next_attempt_all_is_lost(tmp_path: Path):
    events = journal(
        tmp_path,
        (0, "started", {"epochs": 3}),
        (10, "checkpoint saved", at(1)),
        (20, "checkpoint saved", at(2)),
        (25, "skipped corrupt", {"epoch": 2}),
        (40, "resumed", at(1) | {"epochs": 3}),
        (50, "checkpoint saved", at(1, 15)),
        (70, "resumed", at(1, 15) | {"epochs": 3}),
        (80, "checkpoint saved", at(2)),
        (90, "checkpoint saved", at(3)),
    )

    goodput = Goodput.of(events)

    assert [(one.useful, one.lost) for one in goodput.attempts] == [(10, 30), (10, 20), (20, 0)]
    assert goodput.share == pytest.approx(40 / 90)
    assert [one.origin for one in goodput.attempts] == ["the beginning", "epoch 1", "step 15"]


def test_an_attempt_without_a_save_is_lost_whole(tmp_path: Path):
    events = journal(
        tmp_path, (0, "started", {"epochs": 1}), (30, "started", {"epochs": 1}), (40, "checkpoint saved", at(1))
    )

    assert [(one.useful, one.lost, one.reached) for one in Goodput.of(events).attempts] == [
        (0, 30, None),
        (10, 0, "epoch 1"),
    ]


def test_the_time_until_more_epochs_are_asked_for_is_not_lost(tmp_path: Path):
    events = journal(
        tmp_path,
        (0, "started", {"epochs": 1}),
        (10, "checkpoint saved", at(1)),
        (1000, "resumed", at(1) | {"epochs": 2}),
        (1010, "checkpoint saved", at(2)),
    )

    assert (Goodput.of(events).useful, Goodput.of(events).lost) == (20, 0)


def test_nothing_of_a_journal_without_attempts_is_lost():
    assert Goodput.of([]).share == 1
