"""Names and values that hold commands, HTML or Markdown are shown as text: at the terminal, in the log, in every report."""

import logging
import unicodedata
from html import unescape
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from markdown_it import MarkdownIt

from tests.contract import run_stages
from tests.unit.stages import loaded, write
from unbroken.charts.report import page_of
from unbroken.cli.main import answer
from unbroken.cli.registry import history_table
from unbroken.cli.terminal import make_console, shown_log
from unbroken.config import Config, DataConfig, GateConfig, ModelConfig, RetrainConfig, TrainingConfig
from unbroken.data.sources import SourceFile
from unbroken.errors import DataError
from unbroken.errors.escaping import CONTROLS, EscapeRecords, escape_controls, escape_log
from unbroken.orchestration import flow_decorators
from unbroken.orchestration.artifacts import show_report
from unbroken.orchestration.assets import asset_key
from unbroken.pipeline import retrain
from unbroken.reports.markdown import code, escape_markdown, markdown_table, paragraph, values_table
from unbroken.reports.retraining import decision_markdown
from unbroken.reports.run import RunReport
from unbroken.retraining.data_check import DataCheck, DataReport
from unbroken.retraining.drift import Drift, Finding
from unbroken.retraining.gate import SliceScore, Verdict
from unbroken.retraining.new_data import Cycle
from unbroken.retraining.promotion import Decision
from unbroken.run import open_run
from unbroken.serving.registry import NOTHING_SEEN, Version
from unbroken.storage.artifact import Artifact, to_json
from unbroken.storage.journal import Journal

ESC, BELL, RIGHT_TO_LEFT, ISOLATE, LINE, NEXT_LINE = "\x1b", "\x07", "\u202e", "\u2066", "\u2028", "\x85"
TEXTS = {
    "colours": f"{ESC}[31mred{ESC}[0m",
    "a title and a bell": f"{ESC}]0;owned{BELL}",
    "8-bit commands": "\x9b31m",
    "right to left": f"abc{RIGHT_TO_LEFT}txt.exe{ISOLATE}",
    "line breaks": f"one\ntwo\r\nthree{LINE}four{NEXT_LINE}five\tsix",
    "bytes that are no text": "caf\udce9",
    "what is not seen": "a\u200bb\ufeffc\u00ad",
    "HTML": "<script>alert(1)</script><img src=x onerror=alert(1)>&amp;&lt;",
    "a link": "[click](javascript:alert(1)) <http://evil> http://evil.example www.evil.example a@b.example",
    "an image": "![x](http://evil.example/x.png)",
    "emphasis": "*a* __b__ _c_ ~~d~~ **e**",
    "code": "`a` ``b``",
    "cells": "a | b || c \\| d",
    "a heading": "# heading",
    "a list": "- item",
    "a number": "1. item",
    "a quotation": "> said",
    "a rule": "---",
    "backslashes": "C:\\new\\_table\\",
    "rich": "[bold red]x[/] :smile: [link=http://evil]y[/link]",
    "harmless": "Größe_in_cm, 年齢 and \u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
}
MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])
HOSTILE = f"{ESC}[31m<b>x</b>`|{RIGHT_TO_LEFT}*y*_z_ [a](b)\n# c"
FILE_NAME = f"{HOSTILE.replace('/', '-')}.parquet"


def assert_shown_as_text(output: str) -> None:
    """Demand that no character of an output commands, turns or hides."""
    bad = {mark for mark in output if mark != "\n" and CONTROLS.search(mark)}
    assert not bad, {f"{ord(mark):x}" for mark in bad}


def rendered(markdown: str) -> str:
    """Return the HTML of some Markdown."""
    return MARKDOWN.render(markdown)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_control_characters_are_escapes_that_stay_as_they_are(text: str):
    shown = escape_controls(text)

    assert not any(unicodedata.category(mark) in {"Cc", "Cs", "Zl", "Zp"} for mark in shown)
    assert escape_controls(shown) == shown
    assert shown.encode("utf-8")
    assert (shown == text) == (CONTROLS.search(text) is None)


def test_text_in_any_script_stays_as_it_is():
    assert escape_controls(TEXTS["harmless"]) == TEXTS["harmless"]


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_markdown_shows_a_text_as_it_is(text: str):
    shown = escape_controls(text)

    assert unescape(rendered(paragraph(text))) == f"<p>{shown}</p>\n"
    (cell,) = _cells(rendered(markdown_table([["x", "y"], [text, "z"]])), 2)
    assert unescape(cell[0]) == shown.strip()
    (cell,) = _cells(rendered(values_table({text: text})), 2)
    assert unescape(cell[0]) == shown.strip()
    assert unescape(cell[1].removeprefix("<code>").removesuffix("</code>")) == shown
    assert unescape(rendered(f"see {code(text)}")) == f"<p>see <code>{shown}</code></p>\n"


def _cells(html: str, columns: int) -> list[list[str]]:
    body = html.partition("<tbody>")[2].partition("</tbody>")[0]
    rows = [row.split("</td>\n")[:-1] for row in body.split("<tr>\n")[1:]]
    assert all(len(row) == columns for row in rows)
    return [[cell.removeprefix("<td>") for cell in row] for row in rows]


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_no_renderer_makes_a_link_of_a_text(text: str):
    """Also none that looks for addresses of its own, as that of Prefect's UI does."""
    assert not any(start in escape_markdown(text) for start in ("http://", "www.", "a@b"))


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_errors_and_log_records_are_one_line_of_text(text: str, capsys: pytest.CaptureFixture[str]):
    record = logging.LogRecord("unbroken.x", logging.INFO, "", 1, "column %s: 100 %%", (text,), None)

    EscapeRecords().emit(record)

    assert record.getMessage() == f"column {escape_controls(text)}: 100 %"
    assert str(DataError(f"{text}: bad")) == f"{escape_controls(text)}: bad"
    assert_shown_as_text(str(DataError(text)) + record.getMessage())
    console = make_console()
    console.print(text)
    console.print(history_table([{"time": text, "event": text, "reason": text, "data": text}]))
    assert_shown_as_text(capsys.readouterr().out)


def test_the_library_s_log_is_escaped_before_any_handler_shows_it(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
):
    with shown_log(make_console()), caplog.at_level(logging.INFO, "unbroken"):
        logging.getLogger("unbroken.data").error("column %s", HOSTILE, exc_info=ValueError(HOSTILE))

    assert_shown_as_text(capsys.readouterr().out)
    assert caplog.records[-1].getMessage() == f"column {escape_controls(HOSTILE)}"
    assert_shown_as_text(caplog.records[-1].exc_text or ESC)


def write_hostile(folder: Path) -> Path:
    """Write a file whose name, columns, categories and classes are hostile."""
    path = folder / FILE_NAME
    rows = 120
    columns = {
        f"number {HOSTILE}": [float(row % 17) for row in range(rows)],
        f"category {HOSTILE}": [f"{HOSTILE} {row % 3}" for row in range(rows)],
        "id": [f"{HOSTILE} {row}" for row in range(rows)],
        "label": [f"class {row % 3 % 2} {HOSTILE}" for row in range(rows)],
    }
    pq.write_table(pa.table(columns), path)
    return path


def test_the_command_shows_hostile_files_columns_categories_and_classes_as_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    path = write_hostile(tmp_path)
    words = ["train", "--no-orchestrator", "--data.source", str(path), "--training.epochs", "1"]

    code_of_training = answer([*words, "--runs_folder", f"runs{ESC}[1m\nx"])
    (run,) = (tmp_path / f"runs{ESC}[1m\nx").iterdir()
    target = f"out{RIGHT_TO_LEFT}.parquet"
    code_of_prediction = answer(
        ["predict", "--no-orchestrator", "--model", f"{run}/checkpoint.pth", "--source", str(path), "--target", target]
    )
    assert answer(["runs", "verify", str(run)]) == 0
    assert answer(["runs", "list", str(run)]) == 0
    shown = capsys.readouterr()

    assert (code_of_training, code_of_prediction) == (0, 0), shown.err
    assert_shown_as_text(shown.out + shown.err)
    assert escape_controls(HOSTILE)[:12] in shown.out
    assert "\\u202e" in shown.out


@pytest.mark.parametrize(
    "words",
    [
        ["--data.source", f"nowhere{HOSTILE}"],
        ["--data.source", "sample", "--data.label", HOSTILE],
        ["--data.source", "sample", "--data.exclude", f'["{RIGHT_TO_LEFT}"]'],
        ["--data.source", "sample", "--training.optimizer", HOSTILE],
        ["--data.source", "sample", "--training.epochs", HOSTILE],
        ["--data.source", "sample", f"--{HOSTILE}", "1"],
        ["--data.source", "sample", "--model.factory", HOSTILE],
        ["--config", HOSTILE],
    ],
)
def test_an_error_of_the_command_shows_hostile_settings_as_text(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)

    assert answer(["train", "--no-orchestrator", *words]) == 2

    shown = capsys.readouterr()
    assert_shown_as_text(shown.out + shown.err)
    assert shown.err.count("\n") == 1


def trained(folder: Path) -> Config:
    config = Config(
        data=DataConfig(source=str(write_hostile(folder))),
        model=ModelConfig(options={"hidden": [4]}),
        training=TrainingConfig(epochs=1),
        runs_folder=str(folder / f"runs`|<b>{ESC}"),
    )
    run_stages(config)
    return config


def test_the_report_of_a_run_and_its_artifact_show_hostile_names_as_text(tmp_path: Path):
    run = open_run(trained(tmp_path))
    Journal(run.journal).append("skipped corrupt", checkpoint=HOSTILE, reason=HOSTILE)

    report = RunReport.read(run).markdown(run)
    with mock.patch("unbroken.orchestration.artifacts.create_markdown_artifact") as created:
        show_report(run)

    assert created.call_args.args == (report,)
    html = rendered(report)
    assert_shown_as_text(report)
    assert not any(tag in html for tag in ("<b>", "<a ", "<em>", "<script"))
    assert html.count("<h1>") == 1
    assert escape_controls(HOSTILE) in unescape(html)


def test_the_page_of_a_run_shows_hostile_names_as_text(tmp_path: Path):
    run = open_run(trained(tmp_path))
    Journal(run.journal).append("skipped corrupt", checkpoint=HOSTILE, reason=HOSTILE)

    html = page_of(run, "cpu", None, "a program that is not run here").html()

    assert_shown_as_text(html)
    assert not any(tag in html for tag in ("<b>x", "<img", "<em>", '<a href="http'))
    assert html.count("<h1>") == 1
    assert html.count("<script") == html.count("</script>") == 3
    assert unescape(html).count(escape_controls(HOSTILE)) > 10


def test_the_report_of_a_retraining_shows_hostile_names_as_text(tmp_path: Path):
    drift = Drift(column=HOSTILE, missing_before=0.0, missing_now=0.0, outside=0.0, unseen=0.0, psi=None, ks=None)
    finding = Finding(action="warn", rule="unseen", column=HOSTILE, found=1.0, limit=0.0)
    report = tmp_path / "data.json"
    report.write_bytes(to_json(DataReport(drifts=(drift,), findings=(finding,))))
    version = Version(path="checkpoint.pth", digest="0" * 64, profile="profile.json")
    file = SourceFile(url=f"/data/{FILE_NAME}")
    cycle = Cycle(
        folder="cycle",
        new=(file,),
        older=(),
        champion=None,
        watermark=NOTHING_SEEN,
        next_watermark=NOTHING_SEEN,
    )
    score = SliceScore(name=f"x={HOSTILE}", rows=200, champion=0.5, challenger=0.4, gain=-0.1)
    scores = {"rows": 9, "champion": 0.5, "challenger": 0.4, "gain": -0.1, "low": -0.2, "high": 0.0}
    verdict = Verdict(promote=False, reason=f"worse on {HOSTILE}", metric="auroc", slices=(score,), **scores)
    decision = Decision(verdict=verdict, challenger=version, champion=None)
    artifact = Artifact(path=str(report), digest="")

    shown = decision_markdown(decision, cycle, DataCheck(report=artifact, profile=artifact, warnings=1))

    html = rendered(shown)
    assert_shown_as_text(shown)
    assert not any(tag in html for tag in ("<b>", "<a ", "<em>"))
    assert html.count("<h1>") == 1
    assert unescape(html).count(escape_controls(HOSTILE)) == 3
    assert unescape(html).count(escape_controls(FILE_NAME)) == 2


def test_the_page_of_a_retraining_shows_hostile_names_as_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    config = RetrainConfig(
        model="hostile",
        models_folder=str(tmp_path / f"models`|<b>{ESC}"),
        gate=GateConfig(resamples=100),
        train=Config(
            data=DataConfig(source=str(write_hostile(tmp_path))),
            model=ModelConfig(options={"hidden": [4]}),
            training=TrainingConfig(epochs=1),
            runs_folder=str(tmp_path / "runs"),
        ),
    )
    monkeypatch.delenv("UNBROKEN_REPORT")
    monkeypatch.setattr("unbroken.charts.retraining.report._bundle", lambda: "a program that is not run here")

    assert retrain(config) is not None

    (page,) = Path(config.models_folder).glob("hostile/cycles/*/report.html")
    html = page.read_text()
    assert_shown_as_text(html)
    assert not any(tag in html for tag in ("<b>x", "<img", "<em>", '<a href="http'))
    assert html.count("<h1>") == 1
    assert html.count("<script") == html.count("</script>") == 3
    assert unescape(html).count(escape_controls(HOSTILE)) >= 2  # the classes


def test_names_in_prefect_hold_no_commands():
    config = SimpleNamespace(data=SimpleNamespace(source=HOSTILE))
    runtime = SimpleNamespace(parameters={"config": config}, run_count=0)

    with mock.patch.object(flow_decorators, "flow_run", runtime):
        name = flow_decorators.name_flow_run("{config.data.source}")

    assert name == f"{escape_controls(HOSTILE)}, attempt 1"
    assert_shown_as_text(asset_key(f"/data/{HOSTILE}.parquet"))


LONG = "n" * 100_000


@pytest.mark.parametrize("text", [LONG, " ".join(["name"] * 20_000), f"a.csv: {LONG}: {LONG}. Way out"])
def test_a_long_text_keeps_its_beginning_and_its_end(text: str):
    shown = str(DataError(text))

    assert len(shown) < 3500
    assert shown.startswith(text[:100])
    assert shown.endswith(text[-20:])
    assert "letters]..." in shown


def test_a_name_of_100_000_letters_is_shortened_in_an_error_and_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    escape_log()
    path = write(tmp_path / "a.parquet", {LONG: ["a", "b"] * 50, "x": [1.0] * 100, "label": [0, 1] * 50})

    with pytest.raises(DataError) as refused:
        loaded(path, tmp_path, label="other")
    loaded(path, tmp_path, label="label")

    assert len(str(refused.value)) < 3500
    assert str(refused.value).startswith("file://")
    assert max(map(len, caplog.messages), default=0) < 3500
