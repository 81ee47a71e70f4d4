"""The charts in a real browser: what a pointer, the legend and the buttons do."""

import csv
import io
import re
import time
import unicodedata

import numpy as np
import pypdf
import pytest
from PIL import Image
from selenium.webdriver.common.action_chains import ActionChains

from distillery.report import charts, charts_page, page
from distillery.report.charts import Chart, Look, Series


def ten_lines():
    """Ten lines that end between 88 and 91 %, by as many methods; one has a band."""
    epochs = np.arange(1, 21)
    for number, marker in enumerate(charts.MARKERS):
        y = 0.88 + 0.003 * number * (1 - np.exp(-epochs / 5))
        count = np.full(20, 6)
        band = (y - 0.001, y + 0.001) if number == 3 else (None, None)
        yield Series(f"Method {number}", epochs, y, Look(1 + number, marker), *band, count)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A page of two charts that share a legend, and one of another far below."""
    board = charts_page.Board(
        page.environment(),
        *(path.read_text(encoding="utf-8") for path in (charts_page.TEMPLATE, charts_page.SCRIPT)),
    )
    lines = tuple(ten_lines())
    shared = [
        charts.chart(Chart(title, "MNIST", "epoch", lines[:n], percent=True))
        for title, n in (("ConvNet: accuracy, %", 10), ("MLP: accuracy, %", 4))
    ]
    far = charts.chart(Chart("Loss", "MNIST", "epoch", (Series("DC", [1, 2], [0.001, 1]),)))
    style = page.STYLE.read_text() + charts_page.STYLE.read_text()
    first, last = board.place(shared, "Means of six networks."), board.place([far])
    path = tmp_path_factory.mktemp("charts") / "page.html"
    path.write_text(
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Charts</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{style}</style></head><body><main><h1>Charts</h1>{first}"
        f"<div style='height:4000px'></div>{last}</main><script>{page.SHARED.read_text()}</script>"
        f"{board.script()}</body></html>",
        encoding="utf-8",
    )
    return path


def wait(true, seconds=60):
    """Wait until something is true; returns it."""
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)
    return found


def show(browser, file, **how):
    browser.open(file, **how)
    wait(lambda: len(browser.all(".plot[data-drawn]")) >= 2)


@pytest.fixture
def shown(browser, file):
    show(browser, file)
    yield browser
    assert browser.errors() == [] and browser.requests() == [file.as_uri()]


def names(browser, plot=0):
    """The names at the ends of a chart's lines, from the top."""
    texts = browser.js(
        "return [...document.querySelectorAll('.plot')[arguments[0]].querySelectorAll('text')]"
        ".map((one) => [one.getBoundingClientRect().top, one.textContent])",
        plot,
    )
    return [text for _, text in sorted(texts) if text.startswith("Method")]


def marks(browser, plot=0):
    """The numbers beside the y axis."""
    texts = browser.js(
        "return [...document.querySelectorAll('.plot')[arguments[0]].querySelectorAll('text')]"
        ".filter((one) => one.getAttribute('text-anchor') === 'end').map((one) => one.textContent)",
        plot,
    )
    return sorted(float(text) for text in texts)


def point(browser, share):
    """Where a share of the way along the first line of the first chart is, from its middle."""
    return browser.js(
        "const plot = document.querySelector('.plot'), box = plot.getBoundingClientRect();"
        "const line = [...plot.querySelectorAll('path')].filter((one) =>"
        " one.getAttribute('stroke') === 'var(--s4)' && one.getAttribute('fill') === null)[0]"
        " ?? [...plot.querySelectorAll('path[stroke=\"var(--s4)\"]')][0];"
        "const at = line.getPointAtLength(arguments[0] * line.getTotalLength());"
        "const {a, e, f} = line.getScreenCTM();"
        "return [a * at.x + e - box.left - box.width / 2, a * at.y + f - box.top - box.height / 2]",
        share,
    )


def test_charts_are_drawn_when_they_come_into_view(shown):
    assert len(shown.all(".plot")) == 3 and len(shown.all(".plot[data-drawn]")) == 2
    shown.js("document.querySelectorAll('.plot')[2].scrollIntoView()")
    wait(lambda: len(shown.all(".plot[data-drawn]")) == 3)


def test_ten_lines_within_three_points_have_a_name_each_and_the_whole_height(shown):
    assert names(shown) == [f"Method {number}" for number in range(9, -1, -1)]
    assert marks(shown)[0] >= 87.5 and marks(shown)[-1] <= 91
    tops = shown.js(
        "return [...document.querySelector('.plot').querySelectorAll('text')]"
        ".filter((one) => one.textContent.startsWith('Method'))"
        ".map((one) => one.getBoundingClientRect().top)"
    )
    assert min(b - a for a, b in zip(sorted(tops), sorted(tops)[1:])) >= 11


def test_a_pointer_is_told_the_point_that_it_is_at(shown):
    plot = shown.one(".plot")
    ActionChains(shown.driver).move_to_element_with_offset(
        plot, *map(round, point(shown, 1))
    ).perform()
    tip = wait(lambda: shown.one(".tip").text)
    assert tip.split("\n") == ["Method 3", "epoch 20", "88.883 ± 0.1", "6 measurements"]
    ActionChains(shown.driver).move_to_element(shown.one("h1")).perform()
    wait(lambda: not shown.one(".tip").is_displayed())


def test_the_legend_hides_lines_and_shows_one_alone_in_all_its_charts(shown):
    lines = shown.all(".legend .line")
    assert [line.get_attribute("aria-pressed") for line in lines[:10]] == ["true"] * 10
    wide = marks(shown)
    lines[9].click()
    assert "Method 9" not in names(shown) and len(names(shown)) == 9
    assert lines[9].get_attribute("aria-pressed") == "false"
    shown.js("document.querySelectorAll('.legend .only')[3].click()")
    assert names(shown) == names(shown, 1) == ["Method 3"]
    assert marks(shown)[-1] - marks(shown)[0] < wide[-1] - wide[0]  # the axis follows
    shown.js("document.querySelectorAll('.legend .only')[3].click()")
    assert len(names(shown)) == 10 and marks(shown) == wide
    ActionChains(shown.driver).double_click(lines[0]).perform()
    assert names(shown) == ["Method 0"]


def test_a_drag_and_a_button_zoom_and_a_double_click_shows_all_again(shown):
    wide, plot = marks(shown), shown.one(".plot")
    chain = ActionChains(shown.driver).move_to_element_with_offset(plot, -60, -60)
    chain.click_and_hold().move_by_offset(80, 60).release().perform()
    near = wait(lambda: marks(shown) != wide and marks(shown))
    assert near[-1] - near[0] < wide[-1] - wide[0]
    ActionChains(shown.driver).double_click(plot).perform()
    wait(lambda: marks(shown) == wide)
    shown.js("document.querySelector('.tools button').click()")
    wait(lambda: marks(shown) != wide)
    shown.js("document.querySelectorAll('.tools button')[1].click()")
    wait(lambda: marks(shown) == wide)


def off_their_lines(browser):
    """By how many pixels each name's leader begins above or below its line, in the first chart."""
    return browser.js(
        "const plot = document.querySelector('.plot');"
        "return [...plot.querySelectorAll('.mark-rule line')].filter((one) =>"
        "one.getAttribute('stroke')?.startsWith('var(--s')).map((leader) => {"
        " const {x, y} = new DOMPoint(0, 0).matrixTransform(leader.getScreenCTM());"
        " const near = [...plot.querySelectorAll('.mark-line path')].filter((one) =>"
        "  one.getAttribute('stroke') === leader.getAttribute('stroke')).map((line) => {"
        "  let low = 0, high = line.getTotalLength();"
        "  const at = (part) => line.getPointAtLength(part).matrixTransform(line.getScreenCTM());"
        "  while (high - low > 0.01) {"
        "   const middle = (low + high) / 2;"
        "   if (at(middle).x < x) low = middle; else high = middle;"
        "  }"
        "  return Math.abs(at(low).y - y);"
        " });"
        " return Math.min(...near);"
        "})"
    )


def test_names_stand_where_their_lines_leave_a_zoomed_plot(shown):
    assert len(off_their_lines(shown)) == 10 and max(off_their_lines(shown)) < 1
    wide, plot = marks(shown), shown.one(".plot")
    chain = ActionChains(shown.driver).move_to_element_with_offset(plot, -200, -100)
    chain.click_and_hold().move_by_offset(90, 220).release().perform()
    wait(lambda: marks(shown) != wide)
    assert len(off_their_lines(shown)) > 3 and max(off_their_lines(shown)) < 1


def saved(browser, kind):
    """Press the button of the first chart that saves it; return the file."""
    buttons = browser.one(".tools").find_elements("css selector", "button")
    next(one for one in buttons if one.text == kind.upper()).click()
    path = browser.driver.downloads / f"mnist-convnet-accuracy.{kind}"
    wait(path.exists)
    return path


def test_a_chart_is_saved_as_svg_png_and_csv(shown):
    svg = saved(shown, "svg").read_text(encoding="utf-8")
    assert svg.startswith("<svg") and "var(" not in svg and "<title>ConvNet: accuracy" in svg
    assert all(f">Method {number}<" in svg for number in range(10))
    (title,) = re.findall(r"<text[^>]*>ConvNet: accuracy, %</text>", svg)
    top = re.search(r'viewBox="0 (-\d+) ', svg)
    assert top and float(top[1]) < float(re.search(r' y="(-\d+)"', title)[1]) < 0, "over the plot"
    assert "#ffffff" in svg and re.search(r'stroke="#0b6bb8"', svg)
    with Image.open(saved(shown, "png")) as picture:
        assert picture.width > 1000 and len(picture.convert("RGB").getcolors(1 << 20)) > 20
    with saved(shown, "csv").open(encoding="utf-8-sig") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 200 and list(rows[0]) == [
        *("line", "kind", "epoch", "mean", "low", "high", "measurements")
    ]
    row = next(row for row in rows if (row["line"], row["epoch"]) == ("Method 3", "20"))
    assert row["mean"] == "88.8835" and row["low"] == "88.7835" and row["measurements"] == "6"


def test_charts_are_within_the_page_on_a_phone_and_follow_its_width(browser, file):
    show(browser, file, width=390)
    assert browser.overflow() <= 0
    assert browser.js(
        "return [...document.querySelectorAll('.plot svg')].every("
        "(one) => one.getBoundingClientRect().right <= innerWidth)"
    )
    narrow = browser.one(".plot svg").size["width"]
    browser.resize(1400)
    wait(lambda: browser.one(".plot svg").size["width"] > narrow + 100)


def test_the_dark_page_has_dark_charts_and_no_violation(browser, file):
    for dark in (False, True):
        show(browser, file, dark=dark)
        colour = browser.js(
            "return getComputedStyle(document.querySelector('.plot path[stroke=\"var(--s1)\"]'))"
            ".stroke"
        )
        assert colour == ("rgb(90, 174, 242)" if dark else "rgb(11, 107, 184)")
        assert browser.axe() == []


def test_paper_has_every_chart_also_those_that_were_never_seen(browser, file):
    show(browser, file)
    browser.js(
        "window.counted = 0;"
        "addEventListener('beforeprint', () => {"
        " window.counted = document.querySelectorAll('.plot[data-drawn], .still').length; })"
    )
    browser.pdf()
    assert browser.js("return window.counted") == 3
    assert browser.all(".still") == []


def test_without_script_pictures_stand_in_the_charts_places(browser, file):
    browser.command("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(file)
        pictures = browser.all("svg.still")
        assert len(pictures) == 3 and all(one.is_displayed() for one in pictures)
    finally:
        browser.command("Emulation.setScriptExecutionDisabled", value=False)


def test_a_heading_and_a_legend_are_on_the_sheet_of_their_chart(browser, file):
    """Wherever a sheet ends: most of these rooms leave enough for the two, and not for a chart."""
    browser.open(file)
    browser.js(
        "const [space, heading] = ['div', 'h3'].map((name) => document.createElement(name));"
        "space.id = 'space';"
        "heading.textContent = 'Learning curves';"
        "document.querySelector('.chartset').before(space, heading)"
    )
    found = {}
    for room in (40, 260, 340, 420, 500, 540):
        browser.js("document.getElementById('space').style.height = `${arguments[0]}px`", room)
        sheets = [one.extract_text() for one in pypdf.PdfReader(io.BytesIO(browser.pdf())).pages]
        sheets = [unicodedata.normalize("NFKC", text) for text in sheets]
        found[room] = [
            next(number for number, text in enumerate(sheets) if part in text)
            for part in ("Learning curves", "Method 9", "ConvNet: accuracy")
        ]
    assert {room: set(sheets) for room, sheets in found.items() if len(set(sheets)) > 1} == {}
    assert found[40][0] == 0 and found[540][0] == 1
