"""Each figure leads to its job."""

import json
import platform

from selenium.webdriver.common.action_chains import ActionChains

ENTER, LEFT, UP, RIGHT, DOWN = "\ue007", "\ue012", "\ue013", "\ue014", "\ue015"


def test_a_figure_leads_to_its_job(browser, study):
    page = study / "results/report.html"
    costs = json.loads((study / "results/costs.json").read_text(encoding="utf-8"))
    browser.open(page)
    browser.one("table.scorecard tr[data-cell*='dc|'] td[data-key=accuracy] b").click()
    text = browser.one("dialog").text
    (job,) = [
        cost
        for cost in costs
        if (cost["rule"], cost.get("method"), cost.get("network"))
        == ("evaluate_synthetic", "dc", "ConvNet")
    ]
    assert "1 job" in text
    for known in (job["code"], job["started"][:10], job["versions"]["torch"]):
        assert known in text
    assert f"epochs {job['settings']['epochs']}" in text and "not measured" in text
    assert f"host\n{platform.node()}\n" in text
    # What it names is there, and the command names a file of the study.
    paths = browser.js(
        "return [...document.querySelectorAll('dialog a')].map("
        "(a) => decodeURIComponent(new URL(a.href).pathname))"
    )
    assert len(paths) == 3 and all((study / path).is_file() for path in paths)
    command = browser.one("dialog code").text
    target = command.split("'")[1]
    assert command.startswith("snakemake ") and (study / target).is_file()
    assert browser.errors() == []


def test_a_price_leads_to_the_experts_as_well(browser, study):
    browser.open(study / "results/report.html")
    browser.one("table.scorecard tr[data-recipe] td[data-key=made] b").click()
    rules = {job.split(":")[0] for job in browser.jobs()}
    assert rules == {"distill", "train_experts"}


def test_a_row_leads_to_all_its_jobs_by_the_keyboard(browser, any_page):
    browser.open(any_page)
    button = browser.one("table.scorecard button.why")
    browser.js("arguments[0].focus()", button)
    button.send_keys("\ue007")
    rules = {job.split(":")[0] for job in browser.jobs()}
    assert {"distill", "evaluate_synthetic"} <= rules


def test_the_references_are_of_the_methods_that_were_used(browser, any_page):
    browser.open(any_page)
    browser.js("document.querySelector('[aria-label=BibTeX]').closest('details').open = true")
    text = browser.one("[aria-label=BibTeX]").text
    assert "Dataset Distillation by Matching Training Trajectories" in text
    assert text.count("@") == text.count("\n}") and "Coverage-centric" not in text


DC1, DC10, RANDOM = "MNIST, real, 1, dc", "MNIST, real, 10, dc", "MNIST, real, 1, random"


def evaluations(*cells):
    """The evaluations of both sets of each cell."""
    return {f"evaluate_synthetic: {cell}, ConvNet, {seed}" for cell in cells for seed in (0, 1)}


# Of sections: how a row begins, how its column is headed, and the jobs behind the figure there.
FIGURES = {
    "pairs": [("DC", "points", evaluations(DC1, RANDOM))],
    "labels": [("Random", "hard labels", evaluations(RANDOM))],
    "nested": [
        ("DC", "accuracy of the first", evaluations(DC10)),
        ("DC", "made at that size", evaluations(DC1)),
        ("DC", "difference", evaluations(DC1, DC10)),
    ],
    "confusion": [("c1", "c0", evaluations(DC1))],
    "search": [
        ("DC", "Spearman", {f"search: {DC1}, {seed}" for seed in (0, 1)}),
        ("DC", "which reaches", {"search_full: MNIST"}),
    ],
    "continual": [
        ("Fine-tuning", "all classes", {"continual_alone: MNIST, 0, 2, finetune"}),
        ("Replay", "all classes", {"continual_memory: MNIST, real, 1, given, dc, 0, 0, 2, replay"}),
    ],
}


def test_a_figure_of_a_later_section_leads_to_its_jobs(browser, linked_page):
    browser.open(linked_page)
    for section, figures in FIGURES.items():
        for row, column, jobs in figures:
            table = browser.one(f"section[aria-labelledby={section}] table")
            browser.unfold(table)
            browser.js(
                "const [table, row, column] = arguments;"
                "const heads = [...table.tHead.rows[0].cells];"
                "const head = heads.find((one) => one.innerText.startsWith(column));"
                "const line = [...table.querySelectorAll('tbody tr:has(td)')].find("
                "(one) => one.cells[0].innerText.startsWith(row));"
                "line.cells[head.cellIndex].click()",
                table,
                row,
                column,
            )
            found, said = browser.jobs(), [one.text for one in browser.all("dialog")]
            assert found == jobs, (section, row, column, said)
            browser.js("document.querySelector('dialog').close()")
    assert browser.errors() == []


def test_the_host_of_an_earlier_job_is_said_to_stand_in_its_log(browser, linked_page):
    browser.open(linked_page)
    row = browser.one("section[aria-labelledby=pairs] tr[data-cell]")
    browser.unfold(row)
    browser.js("arguments[0].cells[2].click()", row)
    assert "host\nin the log\n" in browser.one("dialog").text


def test_a_confusion_is_explained_under_the_pointer_and_by_the_keyboard(browser, linked_page):
    browser.open(linked_page)
    table = browser.one("table.confusion")
    browser.unfold(table)
    cells = table.find_elements("css selector", "td")
    assert [one.text for one in cells] == ["2", "0", "0", "0", "1", "1", "1", "0", "1"]

    def shown():
        return browser.one("#confusion ~ * output").text

    browser.js("arguments[0].scrollIntoView({block: 'center'})", table)
    ActionChains(browser.driver).move_to_element(cells[6]).perform()
    assert shown() == "c2 taken for c0: 1 of 2 images, 50.0 %"
    # By Tab to the first, by arrows to the others, and no further than the table.
    assert [one.get_attribute("tabindex") for one in cells] == ["0"] + [None] * 8
    browser.js("arguments[0].focus()", cells[0])
    assert shown() == "c0 taken for c0: 2 of 2 images, 100.0 %, which is right"
    for key, at in ((LEFT, 0), (UP, 0), (RIGHT, 1), (RIGHT, 2), (DOWN, 5)):
        browser.js("return document.activeElement").send_keys(key)
        assert browser.js("return document.activeElement === arguments[0]", cells[at])
    assert shown() == "c1 taken for c2: 1 of 2 images, 50.0 %"
    cells[5].send_keys(ENTER)
    assert browser.jobs() == evaluations(DC1)
