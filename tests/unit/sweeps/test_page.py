"""The page of a sweep: its tables say what the journal says, and its charts are valid."""

from pathlib import Path

import altair as alt
import pytest

from tests.unit.sweeps.sweeps import configure, write_source
from unbroken.stages.results import Restored
from unbroken.sweeps.journal import Outcome, Proposal, Publication, Record
from unbroken.sweeps.page import page_of
from unbroken.sweeps.result import Trials
from unbroken.sweeps.space import Space
from unbroken.sweeps.sweep import Sweep

NO_PROGRAM = "a program that is not run here"
KEY = "0123456789abcdef"
STATES = ("complete", "pruned", "failed", "complete")
VALUES = ((0.7, 0.5), (0.9,), (), (0.6, None, 0.4))


@pytest.fixture
def trials(tmp_path: Path) -> Trials:
    write_source(tmp_path)
    config = configure(tmp_path, trials=4)
    space, record = Space.read(Path(config.space), config.train), Record()
    for trial, (state, values) in enumerate(zip(STATES, VALUES, strict=True)):
        drawn = {"model.options.dropout": 0.1, "model.options.hidden": trial % 2, "training.batch_size": 0}
        drawn["training.learning_rate"] = 0.001 * 10**trial
        finite = [value for value in values if value is not None]
        best = min(finite, default=None)
        epoch = None if best is None else values.index(best) + 1
        record.take(Proposal(trial=trial, settings=space.settings(drawn), drawn=drawn))
        record.take(Outcome(trial=trial, state=state, run=KEY, values=values, epoch=epoch, value=best))  # ty: ignore[invalid-argument-type]
    record.take(Publication(trial=3, run=KEY, sha256="a" * 64))
    sweep = Sweep(config=config, space=space, key=KEY, folder=str(tmp_path / "sweeps" / KEY), fingerprint="")
    return Trials(sweep=sweep, record=record, best=3)


RESTORED = Restored(
    path=f"/runs/{KEY}/checkpoint.pth",
    digest="a" * 64,
    epoch=3,
    step=12,
    metrics={"test_loss": 0.45, "validation_loss": 0.4},
)


def test_the_table_says_settings_epochs_metric_and_state_of_each_trial(trials: Trials):
    heading, *rows = trials.rows()

    assert heading[0] == "trial"
    assert heading[-3:] == ["epochs", "validation_loss", "state"]
    assert rows[0] == ["0", "0.1", "[4]", "16", "0.001", "2 of 2", "0.5000", "complete"]
    assert rows[1][-3:] == ["1 of 1", "0.9000", "pruned"]
    assert rows[2][-3:] == ["- of 0", "-", "failed"]
    assert rows[3] == ["3", "0.1", "[8, 4]", "16", "0.3", "3 of 3", "0.4000", "complete, best"]


def test_each_chart_is_valid_and_the_page_is_the_same_each_time(trials: Trials):
    page = page_of(trials, RESTORED, NO_PROGRAM)

    assert len(page.specs) == 2 + len(trials.sweep.space.dimensions)
    for spec in page.specs:
        alt.Chart.from_dict({key: value for key, value in spec.items() if key not in ("width", "height")}).to_dict(
            validate=True
        )
    assert page.html() == page_of(trials, RESTORED, NO_PROGRAM).html()


def test_without_the_libraries_that_draw_the_page_has_its_tables(trials: Trials):
    html = page_of(trials, RESTORED, None).html()

    assert "Charts are left out" in html
    assert "complete, best" in html
    assert "the test rows were scored for the best alone" in html
    assert "<figure" not in html
