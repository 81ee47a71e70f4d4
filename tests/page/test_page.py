"""The page as a reader has it: nothing fails, nothing is fetched, all can be reached."""


def test_nothing_fails_and_nothing_is_fetched(browser, any_page):
    browser.open(any_page)
    assert browser.errors() == []
    assert browser.requests() == [any_page.as_uri()]
