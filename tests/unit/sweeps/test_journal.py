import logging
from datetime import UTC, datetime
from pathlib import Path

import pytest

from unbroken.errors import DataError
from unbroken.storage.journal import Journal
from unbroken.sweeps.journal import Outcome, Proposal, Publication, SweepJournal

PROPOSAL = Proposal(
    trial=0,
    settings={"training.learning_rate": 0.0123457, "model.options.hidden": [8, 4]},
    drawn={"training.learning_rate": 0.0123457, "model.options.hidden": 1},
    attributes={"grid_id": 3},
    memory={"qmc": 1},
)
OUTCOME = Outcome(
    trial=0, state="pruned", run="a" * 16, values=(0.5, None, 0.25), epoch=3, value=0.25, attributes={"rung": 0.5}
)


@pytest.fixture
def journal(tmp_path: Path) -> SweepJournal:
    return SweepJournal(tmp_path / "journal.jsonl", clock=lambda: datetime(2026, 1, 1, tzinfo=UTC))


def test_what_was_written_is_read_again(journal: SweepJournal):
    publication = Publication(trial=0, run="a" * 16, sha256="b" * 64)
    for entry in (PROPOSAL, OUTCOME, publication):
        journal.append(entry)

    record = journal.read()

    assert record.proposals == {0: PROPOSAL}
    assert record.outcomes == {0: OUTCOME}
    assert record.publications == [publication]


def test_a_trial_that_was_killed_has_a_proposal_and_no_outcome(journal: SweepJournal):
    journal.append(PROPOSAL)

    record = journal.read()

    assert (set(record.proposals), set(record.outcomes)) == ({0}, set())


def test_a_line_that_was_cut_off_is_passed_over_and_can_be_written_again(
    journal: SweepJournal, caplog: pytest.LogCaptureFixture
):
    journal.append(PROPOSAL)
    whole = journal.path.read_bytes()
    journal.append(OUTCOME)
    journal.path.write_bytes(journal.path.read_bytes()[: len(whole) + 40])

    with caplog.at_level(logging.WARNING):
        assert journal.read().outcomes == {}
    assert "line 2" in caplog.text

    journal.append(OUTCOME)
    assert journal.read().outcomes == {0: OUTCOME}


def test_a_line_that_was_changed_is_passed_over(journal: SweepJournal, caplog: pytest.LogCaptureFixture):
    journal.append(PROPOSAL)
    journal.append(OUTCOME)
    journal.path.write_bytes(journal.path.read_bytes().replace(b'"value": 0.25', b'"value": 0.15'))

    with caplog.at_level(logging.WARNING):
        record = journal.read()

    assert (record.proposals, record.outcomes) == ({0: PROPOSAL}, {})
    assert "changed since it was written" in caplog.text


def test_a_line_of_another_kind_is_refused(journal: SweepJournal):
    Journal(journal.path, sealed=True).append("started")

    with pytest.raises(DataError, match="found a line about 'started', expected one of proposed, ended, published"):
        journal.read()


def test_a_line_that_says_something_else_is_refused(journal: SweepJournal):
    Journal(journal.path, sealed=True).append("ended", trial=0, state="asleep", run="", values=[])

    with pytest.raises(
        DataError, match="a line about 'ended': state: Input should be 'complete', 'pruned' or 'failed'"
    ):
        journal.read()
