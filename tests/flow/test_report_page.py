"""Reports as a person sees them, in a real browser; they are kept as `tests/flow/screenshots/report-*.png`. Needs Chromium."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.flow import browser
from tests.unit.charts.retraining.rounds import config_for, pages, pages_written, two_rounds
from tests.unit.charts.tables import trained
from tests.unit.reports.test_hostile_text import HOSTILE, write_hostile
from unbroken import pipeline
from unbroken.charts.report import write_report
from unbroken.config import Config, DataConfig, GateConfig, ModelConfig, SplitConfig, TrainingConfig
from unbroken.errors.escaping import escape_controls
from unbroken.pipeline import train
from unbroken.run import Run, open_run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

KEPT = Path(__file__).parent / "screenshots"
DRAWN = "document.body.dataset.charts === String(document.querySelectorAll('figure').length)"
LOOKS = [(width, theme) for width in (400, 1400) for theme in ("light", "dark")]
BACKGROUND = {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 26)"}


def hostile_config(folder: Path) -> Config:
    """Return settings of a training on a table whose names and values are hostile."""
    return Config(
        data=DataConfig(source=str(write_hostile(folder))),
        model=ModelConfig(options={"hidden": [4]}),
        split=SplitConfig(test_fraction=0.5, validation_fraction=0.2),
        training=TrainingConfig(epochs=2),
        runs_folder=str(folder / "runs"),
    )


def hostile(folder: Path) -> Run:
    """Train on such a table."""
    config = hostile_config(folder)
    train(config)
    return open_run(config)


def look(path: Path, name: str, figures: int) -> str:
    """Demand that all of a page is drawn in each look without an error or a request; keep pictures, and return its words."""
    with browser.page() as page:
        page.watch("Network", "Runtime", "Log", "Page")
        for width, theme in LOOKS:
            page.look_as(width, theme)
            page.open(path.as_uri())
            page.keep(KEPT / f"report-{name}-{theme}-{width}.png", whole=True)
            assert page.ask(DRAWN)
            assert page.ask("document.querySelectorAll('.chart svg').length") >= figures
            assert page.ask("document.documentElement.scrollWidth") == width
            assert page.ask("getComputedStyle(document.body).backgroundColor") == BACKGROUND[theme]
        words, tags = page.words(), page.ask("document.querySelectorAll('img, b b, em, main script, iframe').length")
    requested = {
        event["params"]["request"]["url"] for event in page.events if event.get("method") == "Network.requestWillBeSent"
    }
    assert {url for url in requested if not url.startswith("data:")} == {path.as_uri()}
    assert [event for event in page.events if event.get("method") in TROUBLE] == []
    assert tags == 0
    assert path.stat().st_size < 1_000_000
    return words


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression", "hostile"])
def test_every_chart_is_drawn_in_both_themes_and_widths_without_an_error_or_a_request(task: str, tmp_path: Path):
    run = hostile(tmp_path) if task == "hostile" else trained(tmp_path, task)[1]

    words = look(write_report(run, "cpu", None), task, 6)

    if task == "hostile":
        assert escape_controls(HOSTILE) in words


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_the_page_of_a_retraining_is_drawn_the_same_way(task: str, tmp_path: Path):
    two_rounds(tmp_path, task)

    words = look(pages(tmp_path)[-1], f"retraining-{task}", 4)

    assert "registry --models_folder" in words


def test_a_hostile_table_is_text_on_the_page_of_a_retraining(tmp_path: Path):
    config = replace(config_for(tmp_path, epochs=1), train=hostile_config(tmp_path), gate=GateConfig(resamples=100))
    with pages_written():
        pipeline.retrain(config)

    words = look(pages(tmp_path)[-1], "retraining-hostile", 4)

    assert escape_controls(HOSTILE)[:20] in words


TROUBLE = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded", "Page.javascriptDialogOpening")
