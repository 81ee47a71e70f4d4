"""Images are enlarged, compared and followed along their making."""

from selenium.webdriver.support.wait import WebDriverWait

ESCAPE, ENTER, LEFT = "\ue00c", "\ue007", "\ue012"


def test_an_image_is_enlarged_by_the_keyboard_and_escape_closes_it(browser, any_page):
    browser.open(any_page)
    browser.unfold()
    button = browser.one(".card[data-cell] button.zoom")
    alt = button.find_element("css selector", "img").get_attribute("alt")
    browser.js("arguments[0].focus()", button)
    button.send_keys(ENTER)
    dialog = browser.one("dialog")
    shown = dialog.find_element("css selector", "img")
    assert shown.get_attribute("alt") == alt and shown.size["width"] > button.size["width"]
    assert browser.js("return document.activeElement.closest('dialog') !== null")
    browser.js("return document.activeElement").send_keys(ESCAPE)
    assert browser.all("dialog") == []
    assert browser.js("return document.activeElement === arguments[0]", button), "focus returns"
    assert browser.errors() == []


def test_real_images_of_the_class_and_the_nearest_stand_beside(browser, study):
    browser.open(study / "results/report.html")
    browser.unfold()
    card = browser.one(".card[data-cell]")
    name = card.find_element("css selector", "[data-class]").get_attribute("data-class")
    browser.js("arguments[0].click()", card.find_element("css selector", "button.zoom"))
    titles = [one.text for one in browser.all("dialog figcaption")]
    assert "real training images of this class" in titles
    assert browser.one("dialog h2").text.endswith(f": {name}")


def test_an_evolution_is_a_slider_over_all_snapshots(browser, any_page):
    browser.open(any_page)
    box = browser.one(".evolution")
    browser.unfold(box)
    steps = box.get_attribute("data-iterations").split(" ")
    slider = box.find_element("css selector", "input[type=range]")
    seen = set()

    def shown():
        """Which iteration is named and where the sheet is, read at one moment: charts above it that
        are drawn when they come into view move all that stands below."""
        text, top = browser.js(
            "const [image, view, at] = ['img', '.window', '.at'].map("
            "(name) => arguments[0].querySelector(name));"
            "return [at.textContent,"
            "image.getBoundingClientRect().y - view.getBoundingClientRect().y]",
            box,
        )
        seen.add(round(top))
        return text.split()[1].rstrip(".")

    def comes(step):
        """Wait until a step is named: a busy page moves its slider after the key is taken."""
        WebDriverWait(browser.driver, 20).until(lambda _: shown() == step)

    assert shown() == steps[-1], "the final images come first"
    for step in reversed(steps[:-1]):
        slider.send_keys(LEFT)
        comes(step)
        assert slider.get_attribute("aria-valuetext") == f"iteration {step}"
    assert len(seen) == len(steps) > 1
