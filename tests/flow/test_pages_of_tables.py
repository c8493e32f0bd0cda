"""Pages of more than 20 tables of all kinds of columns, each opened in Chromium: all is drawn, nothing is asked for."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn import datasets

from tests.flow import browser
from tests.flow.test_report_page import DRAWN, TROUBLE
from tests.unit.charts.tables import trained
from unbroken.charts.report import write_report

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ROWS = 400
RANDOM = np.random.default_rng(5)
SIGNAL = RANDOM.normal(size=ROWS)
LABELS: dict[str, Any] = {
    "binary": np.where(SIGNAL > 0.5, "ja", "nein"),
    "multiclass": np.array(["a", "b", "c", "d"])[np.digitize(SIGNAL, [-1, 0, 1])],
    "regression": np.exp(SIGNAL) * 1e6,
}
NOISE = RANDOM.normal(size=ROWS)
SECONDS = RANDOM.integers(0, 10**9, ROWS)
FEATURES: dict[str, dict[str, Any]] = {
    "numbers": {"x": SIGNAL + NOISE, "counts": RANDOM.poisson(3, ROWS), "large": NOISE * 1e12},
    "one-column": {"x": SIGNAL + NOISE},
    "categories": {"few": RANDOM.choice(list("xyz"), ROWS), "many": RANDOM.integers(0, 90, ROWS).astype(str)},
    "times": {
        "when": pa.array(SECONDS, pa.timestamp("s")),
        "day": pa.array(SECONDS // 86_400, pa.int32()).cast("date32"),
    },
    "durations": {
        "took": pa.array(SECONDS % 90_000, pa.duration("s")),
        "at": pa.array(SECONDS % 86_400, pa.int32()).cast("time32[s]"),
    },
    "flags": {"set": SIGNAL + NOISE > 0, "rare": RANDOM.random(ROWS) < 0.02},
    "gaps": {
        "x": pa.array(SIGNAL, mask=RANDOM.random(ROWS) < 0.7),
        "y": pa.array(NOISE, mask=RANDOM.random(ROWS) < 0.3),
    },
    "wide": {f"column {index}": SIGNAL + RANDOM.normal(size=ROWS) for index in range(60)},
}
LEARNT = {
    "iris": datasets.load_iris,
    "wine": datasets.load_wine,
    "breast_cancer": datasets.load_breast_cancer,
    "diabetes": datasets.load_diabetes,
    "digits": datasets.load_digits,
}


def known(name: str) -> tuple[str, dict[str, Any]]:
    """Return the task and the columns of a table that scikit-learn brings."""
    frame = LEARNT[name](as_frame=True).frame
    task = "regression" if name == "diabetes" else "binary" if name == "breast_cancer" else "multiclass"
    label = frame["target"].to_numpy()
    columns = {str(column): frame[column].to_numpy() for column in frame.columns if column != "target"}
    return task, columns | {"label": label if task == "regression" else np.array([f"class {value}" for value in label])}


CASES = [f"{name}-{task}" for name in FEATURES for task in LABELS] + list(LEARNT)


@pytest.mark.parametrize("case", CASES)
def test_the_page_of_each_table_is_drawn_on_a_phone_without_an_error_or_a_request(case: str, tmp_path: Path):
    name, _, task = case.rpartition("-")
    task, columns = known(case) if case in LEARNT else (task, FEATURES[name] | {"label": LABELS[task]})

    path = write_report(trained(tmp_path, task, columns, epochs=1)[1], "cpu", None)

    assert path.stat().st_size < 1_000_000
    with browser.page() as page:
        page.watch("Network", "Runtime", "Log", "Page")
        page.look_as(400, "light")
        page.open(path.as_uri())
        assert page.ask(DRAWN)
        assert page.ask("document.documentElement.scrollWidth") == 400
        assert page.ask("document.querySelectorAll('h2').length") >= 5
    urls = [
        event["params"]["request"]["url"] for event in page.events if event.get("method") == "Network.requestWillBeSent"
    ]
    assert {url for url in urls if not url.startswith("data:")} == {path.as_uri()}
    assert [event for event in page.events if event.get("method") in TROUBLE] == []
