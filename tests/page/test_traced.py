"""Each figure leads to its job."""

import json


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
    rules = {one.text.split(":")[0] for one in browser.all("dialog summary")}
    assert rules == {"distill", "train_experts"}


def test_a_row_leads_to_all_its_jobs_by_the_keyboard(browser, any_page):
    browser.open(any_page)
    button = browser.one("table.scorecard button.why")
    browser.js("arguments[0].focus()", button)
    button.send_keys("\ue007")
    rules = {one.text.split(":")[0] for one in browser.all("dialog summary")}
    assert {"distill", "evaluate_synthetic"} <= rules


def test_the_references_are_of_the_methods_that_were_used(browser, any_page):
    browser.open(any_page)
    browser.js("document.querySelector('[aria-label=BibTeX]').closest('details').open = true")
    text = browser.one("[aria-label=BibTeX]").text
    assert "Dataset Distillation by Matching Training Trajectories" in text
    assert text.count("@") == text.count("\n}") and "Coverage-centric" not in text
