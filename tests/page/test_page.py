"""The page as a reader has it: nothing fails, nothing is fetched, all can be reached."""

import pytest

from tests.page.conftest import WIDTHS


def test_nothing_fails_and_nothing_is_fetched(browser, any_page):
    browser.open(any_page)
    assert browser.errors() == []
    assert browser.requests() == [any_page.as_uri()]


@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_is_never_wider_than_its_window(browser, any_page, width):
    browser.open(any_page, width=width)
    assert browser.overflow() <= 0


def test_numbers_are_visible_on_a_phone(browser, any_page):
    """The column that stays in place leaves 60 % of the width."""
    browser.open(any_page, width=390, height=844)
    shares = browser.js(
        "for (const fold of document.querySelectorAll('details')) fold.open = true;"
        "return [...document.querySelectorAll('.scroll tbody th[scope=row]')].map("
        "(cell) => [cell.innerText, cell.offsetWidth / cell.closest('.scroll').clientWidth])"
        ".filter(([, share]) => share > 0.4)"
    )
    assert shares == []
