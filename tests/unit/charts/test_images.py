"""The main charts of a page are images in Markdown, whose names from data are text; what cannot be drawn is left out."""

import base64
import re
from xml.etree import ElementTree

import pytest

from unbroken.charts.figures import bars
from unbroken.charts.images import main_charts
from unbroken.charts.page import Page
from unbroken.charts.scoring import Importance

pytestmark = pytest.mark.slow  # the program that draws starts for seconds

HOSTILE = "\x1b[31m<b>x</b>)](y"


def page_with(*titles: str, name: str = HOSTILE) -> Page:
    page = Page(title="a page", lines=[], bundle="a program that is not run here")
    spec = bars([Importance(column=name, rise=0.5, deviation=0.1)], "rise")
    page.charts(*((title, "", spec) for title in titles))
    return page


def test_main_charts_are_images_in_markdown_with_names_as_text_and_colours_of_both_themes():
    markdown = main_charts(page_with("Loss", "What drives it", "Calibration"))

    assert re.findall(r"!\[(.*?)\]", markdown) == ["Loss", "Calibration"]
    for content in re.findall(r"base64,([A-Za-z0-9+/=]+)\)", markdown):
        drawn = base64.b64decode(content).decode()
        root = ElementTree.fromstring(drawn)
        assert "\\x1b[31m<b>x</b>" in "".join(root.itertext())
        assert not list(root.iter("{http://www.w3.org/2000/svg}script"))
        assert "prefers-color-scheme: dark" in drawn
        assert len(content) < 100_000


def test_a_chart_that_cannot_be_drawn_is_left_out_in_a_line(caplog: pytest.LogCaptureFixture):
    page = page_with("Loss")
    page.specs[0] = {"mark": 1}

    assert main_charts(page) == ""
    assert "no images of its charts" in caplog.text


def test_a_page_without_the_libraries_has_no_images():
    page = page_with("Loss")
    page.bundle = None

    assert main_charts(page) == ""
