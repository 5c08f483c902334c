"""The page of opclock explore in a real browser, without a window: it draws, and answers clicks."""

from __future__ import annotations

import os
import shutil

import pytest
from helpers import opclock

from opclock.estimation.estimate_file import document
from opclock.estimation.result import Coverage, Estimate, Part
from opclock.estimation.setting import Setting
from opclock.files import write_json

pytest.importorskip("plotly")
playwright = pytest.importorskip("playwright.sync_api")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs Chromium or Chrome")
CONV, RELU = "aten::conv2d(float32[1x3x8x8])", "aten::relu(float32[1x4x8x8])"


def estimate(model, *kernel_us):
    """Two blocks with a convolution and a ReLU each."""
    kinds = (("conv", "aten::conv2d", "convolution", CONV), ("act", "aten::relu", "activation", RELU))
    parts = []
    for number, microseconds in enumerate(kernel_us):
        name, operator, operator_class, op_call = kinds[number % 2]
        kernel_s, macs = microseconds * 1e-6, 1000 * (number + 1) * (number % 2 == 0)
        parts.append(Part(number, f"blocks.{number // 2}.{name}", operator, operator_class, macs, kernel_s, 1e-6,
                          op_call=op_call, kernel_low_s=kernel_s * 0.9, kernel_high_s=kernel_s * 1.1,
                          roofline_s=kernel_s * 0.5))  # fmt: skip
    total_s = sum(kernel_us) * 1e-6 + 5e-6
    return Estimate(
        model, Setting(1, "cpu", "float32"), total_s, total_s, total_s, tuple(parts), 1e-6, Coverage(1, 0, 0), ()
    )


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        launched = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"] if os.geteuid() == 0 else [])
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """The page of two estimates."""
    folder = tmp_path_factory.mktemp("page")
    write_json(folder / "before.json", document(estimate("<b>net</b>", 40, 10, 20, 5)))
    write_json(folder / "after.json", document(estimate("<b>net</b>", 40, 10, 60, 5)))
    done = opclock("explore", folder / "before.json", folder / "after.json", "--page", folder / "page.html")
    assert done.returncode == 0, done.stderr
    return folder / "page.html"


@pytest.fixture
def page(browser, file):
    """The page, opened. Nothing may fail in it, and it may fetch nothing."""
    opened, wrong = browser.new_page(viewport={"width": 1400, "height": 1000}), []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
    opened.on("request", lambda request: wrong.append(request.url) if request.url.startswith("http") else None)
    opened.set_default_timeout(10_000)
    opened.goto(file.as_uri())
    yield opened
    opened.close()
    assert not wrong


def rows(page, number):
    """The module and op call of each row in a table of op calls."""
    found = page.locator(f"#calls{number} tr:has(td)")
    return [tuple(found.nth(place).locator("td").all_inner_texts()[1:3]) for place in range(found.count())]


def areas(page, number):
    """The labels in a treemap."""
    return page.locator(f"#treemap{number} g.slice text").evaluate_all("all => all.map(one => one.textContent)")


def test_it_draws_both_estimates(page):
    assert len(rows(page, 0)) == len(rows(page, 1)) == 4
    assert rows(page, 0)[0] == ("blocks.0.conv", CONV)  # the longest first
    assert rows(page, 1)[0] == ("blocks.1.conv", CONV)
    assert any("convolution" in label or "blocks" in label for label in areas(page, 0))
    assert page.locator("#roofline .scatterlayer .point").count() == 8
    assert page.locator("#macs .scatterlayer .point").count() == 8


def test_a_name_is_text(page):
    assert "<b>net</b>" in page.locator("#about0 h2").inner_text()
    assert any("<b>net</b>" in label for label in areas(page, 0))


def test_a_click_on_a_module_shows_its_op_calls(page):
    page.locator("#treemap0 g.slice", has_text="convolution").first.locator("path").first.click(force=True)
    module = page.locator("#module").inner_text()
    assert module == "blocks.0"
    assert rows(page, 0) == [("blocks.0.conv", CONV), ("blocks.0.act", RELU)]
    page.locator("#all").click()
    assert len(rows(page, 0)) == 4


def test_a_click_on_a_difference_goes_into_the_module(page):
    for module in ("blocks", "blocks.1"):
        page.locator("#difference tr.link", has_text=module).first.click()
        assert page.locator("#module").inner_text() == module
    assert rows(page, 0) == rows(page, 1) == [("blocks.1.conv", CONV), ("blocks.1.act", RELU)]


def test_where_they_differ_comes_first(page):
    page.locator("#difference tr.link").first.click()
    assert page.locator("#difference tr.link").first.inner_text().split("\t")[0] == "blocks.1"
    assert page.locator("#difference tr.link").first.inner_text().endswith("+40.0 µs")


def test_the_filter_takes_several_words(page):
    page.locator("#filter").fill("relu blocks.0")
    assert rows(page, 0) == [("blocks.0.act", RELU)]
    assert page.locator("#roofline .scatterlayer .point").count() == 2


def test_a_heading_sorts(page):
    page.locator("#calls0 th", has_text="module").click()
    assert [module for module, _ in rows(page, 0)] == ["blocks.0.act", "blocks.0.conv", "blocks.1.act", "blocks.1.conv"]


def test_one_estimate_alone(page):
    page.locator("#menu1").select_option("")
    assert page.locator("#side1").is_hidden()
    assert page.locator("#calls1").is_hidden()
    assert page.locator("#roofline .scatterlayer .point").count() == 4
    wide = page.locator("#treemap0 .main-svg").first.bounding_box()["width"]
    page.locator("#menu1").select_option("1")
    assert page.locator("#treemap0 .main-svg").first.bounding_box()["width"] < wide / 1.8, "it covers the second"
