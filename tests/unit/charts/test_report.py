"""The page of a run says what its files say, is the same each time, harms no training, and does without charts."""

import json
import re
import subprocess
import sys
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import altair as alt
import pytest

from tests.unit.charts.tables import ROWS, trained
from unbroken.charts.bundle import chart_bundle
from unbroken.charts.report import page_of, write_report, write_report_or_warn
from unbroken.charts.rows import HeldOutRows
from unbroken.charts.scoring import measure
from unbroken.cli.main import answer
from unbroken.config import Config
from unbroken.reports.run import RunReport
from unbroken.run import Run

SECTIONS = [
    "Is it good?",
    "Did it overfit?",
    "Where is it bad?",
    "Can its probabilities be trusted?",
    "What drives it?",
    "What went in?",
    "What happened?",
    "How to get it back",
]
NO_PROGRAM = "a program that is not run here"


@pytest.fixture(scope="module", params=["binary", "multiclass", "regression"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return trained(tmp_path_factory.mktemp(request.param), request.param)[1]


@pytest.fixture(scope="module")
def binary(tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, Run]:
    return trained(tmp_path_factory.mktemp("binary"), "binary")


class Tags(HTMLParser):
    """Counts the tags of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: dict[str, int] = {}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] = self.tags.get(tag, 0) + 1


def test_each_task_has_all_sections_with_charts_and_is_the_same_each_time(run: Run):
    page = page_of(run, "cpu", None, NO_PROGRAM)
    html = page.html()

    names = [unescape(name) for name in re.findall("<h2>(.*?)</h2>", html)]
    assert [name for name in names if name != "How far off is it?"] == [name for name in SECTIONS if name in names]
    assert len(names) == len(SECTIONS)
    assert Tags(html).tags["figure"] == len(page.specs) >= 12
    assert page_of(run, "cpu", None, NO_PROGRAM).html() == html
    for spec in page.specs:
        alt.LayerChart.from_dict(spec) if "layer" in spec else alt.Chart.from_dict(
            spec
        )  # raises where it is no Vega-Lite


def test_the_page_tells_the_recorded_metrics_and_digests(run: Run):
    html, report = page_of(run, "cpu", None, None).html(), RunReport.read(run)

    for value in report.test_metrics_by_name().values():
        assert f"<b>{value:.4f}</b>" in html
    assert report.manifest["sha256"] in html
    assert run.fingerprint in html
    assert "row_id" in html
    assert "left out: row numbers" in html


def test_without_the_libraries_the_page_has_its_tables_and_says_how_to_get_charts(run: Run):
    page = page_of(run, "cpu", None, None)
    html = page.html()

    assert "pip install &#x27;unbroken[report]&#x27;" in html
    assert page.specs == []
    assert "<script" not in html
    assert "strong" in html
    assert Tags(html).tags["table"] >= 8


@pytest.mark.slow
def test_the_program_is_put_together_once_and_is_not_taken_from_a_file_that_changed(tmp_path: Path):
    program = chart_bundle(tmp_path)
    (kept,) = tmp_path.iterdir()
    content = kept.read_bytes()

    assert chart_bundle(tmp_path) == program
    kept.write_bytes(content[:-1] + b"x")
    assert chart_bundle(tmp_path) == program
    assert kept.read_bytes() == content


def test_a_process_without_the_libraries_writes_the_page_all_the_same(binary: tuple[Config, Run]):
    config, run = binary
    words = ["runs", "report", run.key, "--runs_folder", config.runs_folder]
    program = (
        "import sys; sys.modules |= {'altair': None, 'vl_convert': None}; from unbroken.cli.main import main; main()"
    )

    result = subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True, timeout=120, check=False
    )

    assert (result.returncode, result.stderr) == (0, "")
    html = (run.path / "report.html").read_text()
    (run.path / "report.html").unlink()
    assert "pip install &#x27;unbroken[report]&#x27;" in html


def test_rows_have_their_own_units_again_and_the_decisive_column_matters_most(run: Run):
    measured = measure(run.published, run.data / "test.parquet", None, "cpu")
    rows = measured.rows
    scales = {scale.name: scale for scale in rows.encoder.numbers}

    assert len(rows) == rows.total == round(ROWS * 0.4)
    assert rows.values(scales["strong"]).min() >= scales["strong"].low
    assert 0.05 < rows.missing(scales["weak"]).mean() < 0.2
    assert measured.importances[0].column == "strong"
    assert measured.importances[0].rise > 5 * abs(measured.importances[-1].rise)


def test_of_many_rows_a_sample_of_fixed_seed_is_scored_and_the_page_says_so(
    binary: tuple[Config, Run], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("unbroken.charts.rows.MOST_ROWS", 200)
    run = binary[1]
    whole = measure(run.published, run.data / "test.parquet", None, "cpu").rows

    assert (len(whole), whole.total) == (200, 600)
    assert isinstance(whole, HeldOutRows)
    assert "those of 200 of the 600 test rows" in page_of(run, "cpu", None, None).html()


def test_a_report_that_cannot_be_written_is_one_line_and_the_training_stands(
    binary: tuple[Config, Run], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    config, run = binary
    assert write_report_or_warn(run, config) is None
    assert not caplog.records
    monkeypatch.delenv("UNBROKEN_REPORT")
    (run.path / "report.html").mkdir()

    assert write_report_or_warn(run, config) is None

    (run.path / "report.html").rmdir()
    (record,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert "no report.html" in record.getMessage()
    assert "\n" not in record.getMessage()


def test_the_command_writes_the_page_of_a_run_by_its_name_and_says_where(
    binary: tuple[Config, Run], capsys: pytest.CaptureFixture[str]
):
    config, run = binary
    words = ["runs", "report", run.key[:6], "--runs_folder", config.runs_folder]

    assert answer(words) == 0

    assert capsys.readouterr().out.strip() == str(run.path / "report.html")
    size = (run.path / "report.html").stat().st_size
    assert 200_000 < size < 1_000_000
    (run.path / "checkpoint.pth").rename(run.path / "elsewhere")
    assert answer(words) == 2
    (run.path / "elsewhere").rename(run.path / "checkpoint.pth")
    assert "found no checkpoint.pth" in capsys.readouterr().err


def test_names_and_values_cannot_end_the_script_that_holds_them(tmp_path: Path, binary: tuple[Config, Run]):
    page = page_of(binary[1], "cpu", None, NO_PROGRAM)
    page.specs.append({"title": "</script><script>alert(1)</script><!--"})

    html = page.html()

    data = re.search('id="specs">(.*?)</script>', html, re.DOTALL)
    assert data is not None
    assert json.loads(data[1]) == page.specs
    assert Tags(html).tags["script"] == 3


def test_a_finished_run_keeps_its_report_when_its_command_is_typed_again(binary: tuple[Config, Run]):
    run = binary[1]
    path = write_report(run, "cpu", None)
    before = path.stat().st_mtime_ns

    assert answer(["runs", "verify", str(run.path)]) == 0
    assert path.stat().st_mtime_ns == before
