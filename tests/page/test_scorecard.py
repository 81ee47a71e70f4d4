"""The first thing on the page: a table that is sorted, filtered and taken along."""

import csv
import io
from pathlib import Path

import pytest


def column(browser, key):
    """The values by which a column is sorted, of the rows that are shown."""
    return browser.js(
        "return [...document.querySelectorAll('table.scorecard tbody tr')]"
        ".filter((row) => !row.hidden).map((row) => {"
        "const cell = row.querySelector(`[data-key='${arguments[0]}']`);"
        "return cell.dataset.v === undefined ? null : Number(cell.dataset.v)})",
        key,
    )


def head(browser, key):
    return browser.one(f"table.scorecard thead th[data-key={key}]")


@pytest.mark.parametrize("key", ["accuracy", "opponent", "made", "size"])
def test_sorted_by_a_header_with_the_keyboard(browser, any_page, key):
    browser.open(any_page)
    before = column(browser, key)
    button = head(browser, key).find_element("css selector", "button")
    wanted = {"descending": True, "ascending": False}
    for state, down in wanted.items():
        button.send_keys("\ue007")  # Enter
        assert head(browser, key).get_attribute("aria-sort") == state
        got = column(browser, key)
        known = [value for value in got if value is not None]
        assert known == sorted(known, reverse=down) and len(set(known)) > 1
        # What is not known stands last either way.
        assert got == known + [None] * (len(got) - len(known))
    button.send_keys(" ")
    assert head(browser, key).get_attribute("aria-sort") == "none"
    assert column(browser, key) == before


def test_the_best_of_a_size_is_in_the_colour_that_is_explained(browser, any_page):
    browser.open(any_page)
    inks = browser.js(
        "return ['tr.best', 'tr:not(.best)'].map((row) => [...new Set([...document"
        ".querySelectorAll(`table.scorecard ${row} td[data-key=accuracy] b`)]"
        ".map((one) => getComputedStyle(one).color))])"
    )
    assert inks == [["rgb(11, 92, 173)"], ["rgb(28, 33, 39)"]]


def test_filtered_by_what_sets_differ_in(browser, made_page):
    from selenium.webdriver.support.select import Select

    browser.open(made_page)
    every = len(column(browser, "accuracy"))
    # Of each size ten sets on one dataset, and five on two; and the full training sets.
    assert every == 3 * (10 + 5 + 5) + 3
    filters = {
        one.get_attribute("data-filter"): Select(one) for one in browser.all("[data-filter]")
    }
    assert set(filters) == {"dataset", "method", "size", "init"}
    filters["dataset"].select_by_value("CIFAR-10")
    assert len(column(browser, "accuracy")) == 16
    filters["size"].select_by_value("10")
    assert set(column(browser, "size")) == {10} and len(column(browser, "size")) == 5
    filters["method"].select_by_value("MTT")
    (row,) = [one for one in browser.all("table.scorecard tbody tr") if one.is_displayed()]
    assert "MTT" in row.text and "1 of 63 rows" in browser.one(".bar-tools").text
    for one in filters.values():
        one.select_by_value("")
    assert len(column(browser, "accuracy")) == every


def test_columns_are_chosen_and_what_is_shown_is_taken_along(browser, any_page):
    browser.open(any_page)
    browser.one(".columns summary").click()
    browser.one("[data-column=bytes]").click()
    assert not head(browser, "bytes").is_displayed()
    browser.one(".columns summary").click()
    browser.js(
        "navigator.clipboard.writeText = (text) => {"
        "window.copied = text; return Promise.resolve(); }"
    )
    copy, save = browser.all(".bar-tools > button")
    copy.click()
    lines = [line.split("\t") for line in browser.js("return window.copied").splitlines()]
    save.click()
    path = browser.downloaded("scorecard.csv")
    saved = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"))))
    assert saved == lines
    assert "test accuracy, %" in lines[0] and "test accuracy, %: note" in lines[0]
    assert not any("bytes" in name for name in lines[0])
    assert {len(line) for line in lines} == {len(lines[0])}
    at = lines[0].index("test accuracy, %")
    values = [float(line[at].split(" ± ")[0]) for line in lines[1:]]
    assert values == pytest.approx(column(browser, "accuracy"), abs=0.05)


def test_every_file_that_it_names_is_there(browser, any_page):
    browser.open(any_page)
    addresses = browser.js("return [...document.querySelectorAll('a.file')].map((a) => a.href)")
    assert addresses
    for address in addresses:
        assert browser.js("return new URL(arguments[0]).protocol", address) == "file:"
        path = browser.js("return decodeURIComponent(new URL(arguments[0]).pathname)", address)
        assert path.endswith(".safetensors") and Path(path).stat().st_size


def test_it_is_a_plain_table_without_a_script(browser, any_page):
    browser.command("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(any_page)
        table = browser.one("table.scorecard")
        assert table.is_displayed() and "test accuracy" in table.text and "n 1 × " in table.text
        assert browser.all(".bar-tools") == []
    finally:
        browser.command("Emulation.setScriptExecutionDisabled", value=False)
