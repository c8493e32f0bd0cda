"""Reports as a person sees them, in a real browser; they are kept as `tests/flow/screenshots/report-*.png`. Needs Chromium."""

from pathlib import Path

import pytest

from tests.flow import browser
from tests.unit.charts.tables import trained
from tests.unit.reports.test_hostile_text import HOSTILE, write_hostile
from unbroken.charts.report import write_report
from unbroken.config import Config, DataConfig, ModelConfig, SplitConfig, TrainingConfig
from unbroken.errors.escaping import escape_controls
from unbroken.pipeline import train
from unbroken.run import Run, open_run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

KEPT = Path(__file__).parent / "screenshots"
DRAWN = "document.body.dataset.charts === String(document.querySelectorAll('figure').length)"
LOOKS = [(width, theme) for width in (400, 1400) for theme in ("light", "dark")]
BACKGROUND = {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 26)"}


def hostile(folder: Path) -> Run:
    """Train on a table whose names and values are hostile."""
    config = Config(
        data=DataConfig(source=str(write_hostile(folder))),
        model=ModelConfig(options={"hidden": [4]}),
        split=SplitConfig(test_fraction=0.5, validation_fraction=0.2),
        training=TrainingConfig(epochs=2),
        runs_folder=str(folder / "runs"),
    )
    train(config)
    return open_run(config)


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression", "hostile"])
def test_every_chart_is_drawn_in_both_themes_and_widths_without_an_error_or_a_request(task: str, tmp_path: Path):
    run = hostile(tmp_path) if task == "hostile" else trained(tmp_path, task)[1]
    path = write_report(run, "cpu", None)

    with browser.page() as page:
        page.watch("Network", "Runtime", "Log", "Page")
        for width, theme in LOOKS:
            page.look_as(width, theme)
            page.open(path.as_uri())
            page.keep(KEPT / f"report-{task}-{theme}-{width}.png", whole=True)
            assert page.ask(DRAWN)
            assert page.ask("document.querySelectorAll('.chart svg').length") >= 6
            assert page.ask("document.documentElement.scrollWidth") == width
            assert page.ask("getComputedStyle(document.body).backgroundColor") == BACKGROUND[theme]
        words, tags = page.words(), page.ask("document.querySelectorAll('img, b b, em, main script, iframe').length")

    requested = {
        event["params"]["request"]["url"] for event in page.events if event.get("method") == "Network.requestWillBeSent"
    }
    assert {url for url in requested if not url.startswith("data:")} == {path.as_uri()}
    told = [event for event in page.events if event.get("method") in TROUBLE]
    assert told == []
    assert tags == 0
    if task == "hostile":
        assert escape_controls(HOSTILE) in words


TROUBLE = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded", "Page.javascriptDialogOpening")
