"""The page as a reader has it: nothing fails, nothing is fetched, all can be reached."""

import csv
import io
import re
import unicodedata

import pypdf
import pytest
from selenium.webdriver.support.wait import WebDriverWait

from tests.page.conftest import WIDTHS


def test_nothing_fails_and_nothing_is_fetched(browser, any_page):
    browser.open(any_page)
    assert browser.errors() == []
    assert browser.requests() == [any_page.as_uri()]


def test_a_large_study_opens_at_once(browser, made_page):
    """In 0.4 s of the processor's time, on a busy machine too: most of it is to read 8 MB."""
    browser.open(made_page)
    assert browser.worked() < 1.5
    assert made_page.stat().st_size < 11e6


@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_is_never_wider_than_its_window(browser, any_page, width):
    browser.open(any_page, width=width)
    assert browser.overflow() <= 0


def test_numbers_are_visible_on_a_phone(browser, any_page):
    """The column that stays in place leaves 60 % of the width."""
    browser.open(any_page, width=390, height=844)
    browser.unfold()
    shares = browser.js(
        "return [...document.querySelectorAll('.scroll tbody th[scope=row]')].map("
        "(cell) => [cell.innerText, cell.offsetWidth / cell.closest('.scroll').clientWidth])"
        ".filter(([, share]) => share > 0.4)"
    )
    assert shares == []


def test_the_first_figure_is_seen_on_a_phone_and_names_keep_their_head(browser, any_page):
    browser.open(any_page, width=390, height=844)
    over = browser.js(
        "const box = document.querySelector('.scroll:has(> .scorecard)');"
        "return [...box.querySelectorAll('td[data-key=accuracy] b')].map((one) =>"
        "one.getBoundingClientRect().right - box.getBoundingClientRect().right)"
    )
    assert over and max(over) <= 0
    lefts = browser.js(
        "const box = document.querySelector('.scroll:has(> .scorecard)');"
        "box.scrollLeft = 200;"
        "return [...box.querySelectorAll('th[data-key=set]')].map((one) =>"
        "one.getBoundingClientRect().left - box.getBoundingClientRect().left)"
    )
    assert len(lefts) > 1 and all(0 <= left <= 1 for left in lefts)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_core_finds_nothing(browser, any_page, dark):
    browser.open(any_page, dark=dark)
    if "made" not in str(any_page):  # thousands of cells, which are of the same kinds
        browser.unfold()
    assert browser.axe() == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_core_finds_nothing_in_what_the_finished_study_lacks(browser, linked_page, dark):
    browser.open(linked_page, dark=dark)
    browser.unfold()
    browser.js("document.querySelector('#nested ~ * td').click()")
    assert browser.axe("dialog") == []
    browser.js("document.querySelector('dialog').close()")
    parts = ("labels", "nested", "search", "confusion")
    assert browser.axe(*(f"section[aria-labelledby={name}]" for name in parts)) == []


def test_a_table_is_saved_as_csv(browser, any_page):
    browser.open(any_page)
    browser.unfold()
    box = browser.one(".scroll[aria-label^='Accuracy on']")
    rows = box.find_elements("css selector", "tbody tr")
    browser.js("arguments[0].nextElementSibling.click()", box)
    saved = browser.downloaded(".csv")
    lines = list(csv.reader(io.StringIO(saved.read_text(encoding="utf-8-sig"))))
    assert len(lines) == 1 + len(rows) and lines[0][0] == "set"
    assert {len(line) for line in lines} == {len(lines[0])}


def test_the_navigation_marks_the_section_in_view(browser, any_page):
    browser.open(any_page)
    for name in ("images", "provenance", "scorecard"):
        browser.one(f"nav a[href='#{name}']").click()
        marked = WebDriverWait(browser.driver, 10).until(
            lambda _, name=name: [
                one
                for one in browser.all("nav a[aria-current]")
                if one.get_attribute("href").endswith(f"#{name}")
            ]
        )
        assert len(marked) == 1
    # What a link leads to is not left folded.
    assert browser.one("#images").is_displayed()


def test_it_is_read_on_paper(browser, study):
    """Folds are open: nothing that is folded on a screen is missing. No sheet ends with a heading
    whose table or chart stands on the next."""
    browser.open(study / "results/report.html")
    reader = pypdf.PdfReader(io.BytesIO(browser.pdf()))
    text = unicodedata.normalize("NFKC", "".join(sheet.extract_text() for sheet in reader.pages))
    headings = browser.js(
        "return [...document.querySelectorAll('h2, h3, thead th, thead th *')].flatMap("
        "(one) => [...one.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE)"
        ".map((node) => node.textContent.replace(/\\s+/g, ' ').trim()))"
    )
    # Without spaces: a narrow column breaks words.
    packed = re.sub(r"\s", "", text)
    assert [one for one in headings if re.sub(r"\s", "", one) not in packed] == []
    assert "@inproceedings{zhao2021dc" in packed, "what is folded on a screen"
    leading = browser.js(
        "return [...document.querySelectorAll('h2, h3, h4, summary')].map((one) => one.textContent)"
    )
    leading = {re.sub(r"\s", "", text) for text in leading}
    ends = [
        re.sub(r"\s", "", unicodedata.normalize("NFKC", sheet.extract_text()).splitlines()[-1])
        for sheet in reader.pages
    ]
    assert leading and not set(ends) & leading


@pytest.mark.parametrize("width", [718, 1040], ids=["upright", "across"])
def test_no_picture_is_left_out_on_paper(browser, made_page, width):
    """A sheet is as wide as a phone or a tablet, whose rules leave columns out."""
    browser.open(made_page)
    browser.media("print")
    browser.resize(width)
    shown = browser.js(
        "return [...document.querySelectorAll('.scorecard tbody tr')].slice(0, 40).map("
        "(row) => [...row.querySelectorAll('[data-key=picture], [data-key=dataset], img')]"
        ".map((one) => one.getClientRects().length))"
    )
    assert len(shown) > 10 and {len(row) for row in shown} >= {3}
    assert all(all(row) for row in shown)


def test_no_table_is_cut_on_paper(browser, any_page):
    browser.open(any_page)
    browser.media("print")
    browser.resize(1040, 700)  # A4 across, without its margins
    browser.unfold()
    wide = browser.js(
        "return [...document.querySelectorAll('table')].map((table) => [table.innerText,"
        "table.getBoundingClientRect().right - document.querySelector('main')"
        ".getBoundingClientRect().right]).filter(([, over]) => over > 1)"
    )
    assert wide == []
