"""The journal survives being cut off anywhere."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from unbroken.storage.journal import Journal


def at_noon() -> datetime:
    return datetime(2026, 1, 2, 12, tzinfo=UTC)


def test_events_come_back_in_order_with_their_time(tmp_path: Path):
    journal = Journal(tmp_path / "journal.jsonl", at_noon)
    journal.append("started", epochs=5)
    journal.append("resumed", epoch=3)

    assert journal.events() == [
        {"time": "2026-01-02T12:00:00.000+00:00", "event": "started", "epochs": 5},
        {"time": "2026-01-02T12:00:00.000+00:00", "event": "resumed", "epoch": 3},
    ]


def test_a_journal_that_was_never_written_has_no_events(tmp_path: Path):
    assert Journal(tmp_path / "journal.jsonl").events() == []


def test_a_line_cut_off_anywhere_loses_only_itself(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    journal = Journal(tmp_path / "journal.jsonl", at_noon)
    journal.append("started")
    whole = journal.path.read_bytes()
    for cut in range(len(whole)):
        journal.path.write_bytes(whole + whole[:cut])
        journal.append("resumed")

        events = [event["event"] for event in journal.events()]

        assert events[0] == "started"
        assert events[-1] == "resumed"
        assert len(events) == 2 + (cut == len(whole) - 1)
    assert "cut off by a crash" in caplog.text
