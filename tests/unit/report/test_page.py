"""The whole page: what it holds, what it leaves out, and what it refuses."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from distillery.errors import UserError
from distillery.report import charts
from distillery.report import page as report
from distillery.report import results as study_results
from distillery.store.metrics import COLUMNS
from tests.unit.report.made import (
    CONFIG,
    SETS,
    STATISTICS,
    built,
    headline,
    outline,
    rows_of,
    section,
    set_rows,
    text_of,
)


@pytest.mark.slow
def test_a_difference_is_one_number_wherever_the_page_has_it(study, tmp_path):
    """Two networks of DC have no partner in random images: no table counts them for the
    difference."""
    rows = rows_of("dc", "real", {0: [0.60, 0.70, 0.10, 0.10]}) + rows_of(
        "random", "real", {0: [0.50, 0.55]}
    )
    lines, _ = section(study, tmp_path, "accuracy", rows)
    assert any(line.startswith("DC real images") and "+12.50" in line for line in lines)
    lines, _ = section(study, tmp_path, "pairs", rows)
    assert any("+12.50" in line or "−12.50" in line for line in lines)


@pytest.mark.slow
def test_classes_and_groups_without_test_images_are_named_and_nothing_is_nan(
    study, tmp_path, monkeypatch
):
    labels = torch.tensor([0, 1, 2, 4, 5, 6, 8, 9])
    tested = {"test_labels": labels, "test_images": labels}
    learned = {"labels": torch.arange(10), "images": torch.zeros(10, 1, 28, 28, dtype=torch.uint8)}
    dataset = SimpleNamespace(name="MNIST", classes=STATISTICS["MNIST"][2], **tested, **learned)
    monkeypatch.setattr(study_results, "_read_data", lambda paths: {"MNIST": dataset})
    whole = {"measure": "class_accuracy", "value": 0.5}
    by_class = [{**row, **whole, "class": c} for row in SETS for c in labels.tolist()]
    # As an earlier version wrote a class without test images.
    by_class += [{**SETS[0], "class": 3, "measure": "class_accuracy", "value": float("nan")}]
    common = {
        "rule": "continual",
        "dataset": "MNIST",
        "network": "ConvNet",
        "strategy": "finetune",
        "split": "test",
        "model": 0,
    }
    stages = [{**common, "stage": stage, "value": 0.5} for stage in (0, 1, 2)]
    learned = [
        {**row, "measure": name}
        for row in stages
        for name in ("overall_accuracy", "average_accuracy")
    ]
    learned += [
        {**row, "group": group, "measure": "accuracy"} for row in stages for group in (0, 2)
    ]
    _, page = headline(study, tmp_path, SETS + by_class + learned)
    assert (
        "There is no test image of the classes 3, 7: every accuracy is over the 8 other classes of "
        "10." in page
    )
    assert "Without test images, so that nothing is measured: 3, 7." in page
    assert "Without test images, so that it counts in no mean: group 2." in page
    assert "1 network" in page[page.index("Continual learning How to read this") :]


@pytest.mark.slow
def test_page_fetches_nothing(page):
    found = outline(page)
    # What is named is beside it, and is not fetched but followed.
    named = [one for one in found.addresses if not one.startswith(("#", "data:"))]
    assert named and all(re.fullmatch(r"[\w/.]+\.safetensors", one) for one in named)
    assert "<script src" not in page and "@import" not in page and "url(" not in page
    assert not re.search(r"https?://", page)


@pytest.mark.slow
def test_page_is_well_formed(page):
    found = outline(page)
    assert found.headings[0] == 1 and found.headings.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(found.headings, found.headings[1:]))
    assert not found.bare
    assert len(found.ids) == len(set(found.ids))
    anchors = {address[1:] for address in found.addresses if address.startswith("#")}
    assert anchors <= set(found.ids)
    assert '<html lang="en">' in page and 'name="viewport"' in page and "<title>Gradients" in page


@pytest.mark.slow
def test_same_inputs_give_the_same_bytes(part, tmp_path):
    page = built(part, tmp_path / "first.html")
    csv, costs = tmp_path / "summary.csv", tmp_path / "costs.json"
    part["metrics"].to_csv(csv, index=False)
    costs.write_text(json.dumps(part["costs"]))
    assert built(part, tmp_path / "files.html", metrics=csv, costs=costs) == page


@pytest.mark.slow
@pytest.mark.parametrize(
    "lacking", ["continual", "train_vanilla", "mtt", "costs", "images", "everything"]
)
def test_missing_parts_leave_their_section_out(part, tmp_path, lacking):
    metrics, changes = part["metrics"], {}
    if lacking in ("continual", "train_vanilla"):
        changes["metrics"] = metrics[metrics["rule"] != lacking]
    elif lacking == "mtt":
        changes["metrics"] = metrics[metrics["method"] != "mtt"]
    elif lacking == "costs":
        changes["costs"] = []
    elif lacking == "images":
        changes |= {"sets": [], "evolutions": []}
    else:
        changes |= {
            "metrics": metrics.iloc[:0],
            "costs": [],
            "sets": [],
            "evolutions": [],
            "config": {},
            "provenance": {},
        }
    page = built(part, tmp_path / "r.html", **changes)
    ids = outline(page).ids
    assert ("continual" in ids) == (lacking not in ("continual", "everything"))
    assert ("images" in ids) == (lacking not in ("images", "everything"))
    assert ("accuracy" in ids) == (lacking != "everything")
    if lacking == "train_vanilla":
        assert "All training images" not in text_of(page)
    assert not re.search(r"\b(nan|None|inf)\b", text_of(page))


@pytest.mark.slow
def test_names_are_escaped(part, tmp_path):
    evil = '<script>alert("1")</script>'
    metrics = part["metrics"].replace(
        {"dataset": {"MNIST": evil}, "network": {"ResNet18": "<b>&'\""}}
    )
    config = {**CONFIG, "study": evil, "note": evil}
    page = built(part, tmp_path / "r.html", metrics=metrics, config=config, provenance={evil: evil})
    assert "<script>alert" not in page and "<b>&'" not in page
    outline(page)


@pytest.mark.slow
def test_broken_inputs_are_named(part, tmp_path, monkeypatch):
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(part["sets"][0].read_bytes()[:500])
    with pytest.raises(UserError, match=r"broken\.safetensors.*distill"):
        built(part, tmp_path / "r.html", sets=[broken])
    with pytest.raises(UserError, match=r"evolution\.safetensors.*missing.*distill"):
        built(part, tmp_path / "r.html", evolutions=[tmp_path / "evolution.safetensors"])
    with pytest.raises(UserError, match=r"has no tensor iterations"):
        built(part, tmp_path / "r.html", evolutions=[part["sets"][0]])
    with pytest.raises(UserError, match=r"gone\.csv.*evaluate_synthetic"):
        built(part, tmp_path / "r.html", metrics=tmp_path / "gone.csv")
    with pytest.raises(UserError, match="no column value"):
        built(part, tmp_path / "r.html", metrics=part["metrics"].drop(columns="value"))
    with pytest.raises(UserError, match="the column ipc holds 'ten'"):
        built(part, tmp_path / "r.html", metrics=part["metrics"].astype(object).assign(ipc="ten"))
    (tmp_path / "costs.json").write_text("[{")
    with pytest.raises(UserError, match=r"costs\.json"):
        built(part, tmp_path / "r.html", costs=tmp_path / "costs.json")
    template = tmp_path / "page.html.jinja"
    monkeypatch.setattr(report, "TEMPLATE", template)
    with pytest.raises(UserError, match=r"page\.html\.jinja: the report's template cannot be read"):
        built(part, tmp_path / "r.html")
    template.write_text("{% if %}")
    with pytest.raises(UserError, match=r"page\.html\.jinja: the report's template is not valid"):
        built(part, tmp_path / "r.html")
    assert not (tmp_path / "r.html").exists()


def _made_of(number, kind):
    """Results of so many methods, sizes or seeds, with charts of each."""
    draw, rows = np.random.default_rng(0), []
    for i in range(number):
        ipc, seed = (i + 1 if kind == "sizes" else 10), (i if kind == "seeds" else 0)
        method = f"dc_{i}" if kind == "methods" else "dc"
        rows += [
            {**row, "method": method}
            for row in set_rows(draw, "MNIST", "dc", "real", ipc, seed)
            if row.get("epoch") in (None, 0, 300) and row.get("iteration") in (None, 1, 90)
        ]
    metrics = pd.DataFrame(rows).reindex(columns=list(COLUMNS))
    return study_results.Results(metrics, [], [], [], [], CONFIG, {})


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "number"), [("methods", 26), ("sizes", 5), ("seeds", 5)])
def test_twice_as_many_sets_are_twice_the_work(monkeypatch, tmp_path, kind, number):
    """No section looks through all rows for each set, nor draws a chart that nobody is shown."""
    looked, drawn = [], []
    select, draw = pd.DataFrame._getitem_bool_array, charts.chart

    def selected(frame, *arguments, **named):
        looked.append(len(frame))
        return select(frame, *arguments, **named)

    def chart(about):
        drawn.append(about.title)
        return draw(about)

    work = []
    for times in (1, 2):
        results = _made_of(times * number, kind)
        with monkeypatch.context() as patched:
            patched.setattr(pd.DataFrame, "_getitem_bool_array", selected)
            patched.setattr(charts, "chart", chart)
            shown = report._sections(results, (), (), tmp_path)
        groups = [group for block in shown["curves"] for group in block["groups"]]
        assert len(drawn) == sum(len(group["charts"]) for group in groups)
        work.append(sum(looked))
        looked.clear()
        drawn.clear()
    assert work[0] > 0 and work[1] <= 2.2 * work[0]
