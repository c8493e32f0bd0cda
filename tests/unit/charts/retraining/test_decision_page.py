"""The page of a retraining lies beside its decision, tells the numbers of the gate, and can harm no decision."""

import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import altair as alt
import numpy as np
import pyarrow as pa
import pytest

from tests.unit.charts.retraining.rounds import arrives, config_for, month, pages, pages_written, two_rounds
from tests.unit.charts.tables import trained
from unbroken import pipeline
from unbroken.charts.page import Page
from unbroken.charts.retraining import report
from unbroken.charts.retraining.both import Both, worse
from unbroken.charts.scoring import measure
from unbroken.config import RetrainConfig
from unbroken.errors import BlockedError
from unbroken.reports.markdown import format_gain
from unbroken.retraining.new_data import registry_of
from unbroken.retraining.promotion import Decision

Rounds = tuple[RetrainConfig, Decision, Decision]
SECTIONS = ["Who won?", "Where did it get worse?", "Did its probabilities shift?", "Did the data drift?"]
SECTIONS += ["Where does it come from?", "How to go back"]
NO_PROGRAM = "a program that is not run here"


@pytest.fixture(scope="module", params=["binary", "regression"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where two rounds were run, with pages of tables alone: the program for charts takes seconds to be found."""
    folder = tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "is_installed", lambda: False)
        ROUNDS[folder] = two_rounds(folder, request.param)
    return folder


ROUNDS: dict[Path, Rounds] = {}


def test_each_decision_has_its_page_beside_it_with_the_numbers_of_the_gate(folder: Path):
    config, _, second = ROUNDS[folder]
    first_page, html = (path.read_text() for path in pages(folder))

    names = [unescape(name) for name in re.findall("<h2>(.*?)</h2>", html)]
    assert [name for name in names if name != "How far off are both?"] == [name for name in SECTIONS if name in names]
    assert len(names) == len(SECTIONS)
    verdict, event = second.verdict, registry_of(config).history()[-1]
    told = unescape(html)
    for number in (verdict.gain, verdict.low, verdict.high):
        assert format_gain(number) in told
    for score in verdict.slices:
        assert f"<td>{score.name}</td>" in told
    assert event["time"][:19].replace("T", " ") in told
    assert verdict.reason in told
    assert second.challenger.digest in told
    assert "of the constant guess" in first_page
    assert "of the champion" in html
    assert re.search(r"<td>x</td>.*?PSI [0-9.]+ > 0\.25 \(warn\)", told)


def test_the_way_back_is_a_command_that_goes_back(folder: Path):
    config, first, second = ROUNDS[folder]
    told = unescape(pages(folder)[-1].read_text())

    if second.verdict.promote:
        line = f"unbroken registry --models_folder {config.models_folder} rollback shops"
        assert line in told
        assert f"promote shops {first.challenger.digest[:16]}" in told
    else:
        assert f"promote shops {second.challenger.digest[:16]}" in told
    assert "There was no champion before this one to go back to." in pages(folder)[0].read_text()


def test_charts_are_those_of_both_models_and_the_page_is_the_same_each_time(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    config, _, _ = ROUNDS[folder]
    written: list[Page] = []
    monkeypatch.setattr(report, "_bundle", lambda: NO_PROGRAM)
    monkeypatch.setattr(report, "_written", lambda path, draw: written.extend([draw(), draw()]) or path)

    arrives(folder, "2024-03", month("binary" if folder.name.startswith("binary") else "regression", 3))
    assert pipeline.retrain(config) is not None

    page, again = written
    assert page.html() == again.html()
    assert len(page.specs) >= 4
    for spec in page.specs:
        kind = alt.LayerChart if "layer" in spec else alt.Chart
        kind.from_dict(spec)  # raises where it is no Vega-Lite
    assert sum('"champion"' in str(spec).replace("'", '"') for spec in page.specs) >= 2


def test_the_slice_that_a_model_lost_comes_first_and_others_are_chance(tmp_path: Path):
    _, run = trained(tmp_path, "binary")
    measured = measure(run.published, run.data / "test.parquet", None, "cpu")
    rows, scores = measured.rows, measured.scores
    shop = rows.codes[:, rows.encoder.features.category_names.index("shop")]
    lost = np.where(
        shop == shop[0], scores.losses + 0.5, scores.losses + np.random.default_rng(0).normal(0, 0.01, len(rows))
    )
    both = Both(
        task="binary",
        names=("0", "1"),
        gains=(),
        rows=rows,
        champion=scores,
        challenger=replace(scores, losses=lost),
    )

    slices = both.slices()
    first = worse(slices)[0]

    assert first.column == "shop"
    assert first.rows == int((shop == shop[0]).sum())
    assert first.rise == pytest.approx(0.5)
    assert [part.worse for part in slices["shop"]].count(True) == 1


def test_what_blocked_a_round_is_told_beside_what_was_measured(tmp_path: Path):
    config = config_for(tmp_path, epochs=1)
    arrives(tmp_path, "2024-01", month("binary", 1))
    pipeline.retrain(config)
    rows = month("binary", 2)
    path = arrives(tmp_path, "2024-02", rows.set_column(0, "x", pa.nulls(len(rows), pa.float64())))
    with pages_written(), pytest.raises(BlockedError, match="share missing rose"):
        pipeline.retrain(config)
    (measured,) = pages(tmp_path)
    path.write_bytes(b"not Parquet at all")
    with pages_written(), pytest.raises(BlockedError, match="cannot be read"):
        pipeline.retrain(config)

    for page in (measured, tmp_path / "models" / "shops" / "blocked.html"):
        html = unescape(page.read_text())
        assert "<h1>shops: blocked</h1>" in html
        assert registry_of(config).pointer.champion or "" in html
        assert "2024-02.parquet" in html
    assert "share missing rose by 1 > 0.5 (block)" in unescape(measured.read_text())
    assert (measured.parent / "data_report.json").is_file()


def test_a_page_that_cannot_be_drawn_is_one_line_and_the_decision_stands(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    config = config_for(tmp_path, epochs=1)
    arrives(tmp_path, "2024-01", month("binary", 1, rows=300))
    monkeypatch.setattr(report, "PAGE", "data_report.json/report.html")

    with pages_written():
        decision = pipeline.retrain(config)

    assert decision is not None
    assert registry_of(config).history()[-1]["challenger"] == decision.challenger.digest
    (record,) = [record for record in caplog.records if record.levelname == "WARNING" and "no page" in record.message]
    assert "\n" not in record.getMessage()
