"""The default study in the document: the course project's figures, and ours beside them."""

import pytest

from distillery.published import document
from distillery.published.recording import record
from tests.unit.published.studies import COMMAND, Study


def rows_of(text):
    part = text.split("\n## The default study\n")[1].split("\n## ")[0]
    lines = [line.split("|")[1:-1] for line in part.splitlines() if line.startswith("|")]
    return part, {first.strip(): [text.strip() for text in rest] for first, *rest in lines[2:]}


@pytest.mark.slow
def test_without_a_record_every_cell_is_missing():
    part, rows = rows_of(document.render({}))
    assert "\n0 of 17 cells have been run.\n" in part
    assert {row[1] for row in rows.values()} == {"not run"}
    assert rows["CIFAR10, mtt from real, 10 per class, ConvNet"][0] == "23.77"
    assert rows["MNIST, dc from real, 10 per class, ResNet18"][0] == "60.0"


@pytest.mark.slow
def test_the_figure_at_the_course_projects_budget_stands_before_newer_ones(tmp_path):
    equal, lean = Study(tmp_path / "equal"), Study(tmp_path / "lean")
    few = {"iterations": 100, "outer": 10, "inner": 50}
    equal.set("dc", "real", 10, 0, few, minute=1)
    equal.evaluation("dc", "real", 10, 0, [82.0], epochs=20, minute=2)
    lean.set("dc_lean", "real", 10, 0, {**few, "iterations": 15}, minute=50, of="dc")
    lean.evaluation("dc_lean", "real", 10, 0, [86.0, 88.0], epochs=20, minute=55)
    both = {
        name: record(study.folder, COMMAND) for name, study in (("equal", equal), ("lean", lean))
    }
    place = "MNIST, dc from real, 10 per class, ConvNet"
    assert rows_of(document.render(both))[1][place][1:3] == [
        "82.00 (1 × 1)",
        "course project's budget",
    ]
    part, rows = rows_of(document.render({"lean": both["lean"]}))
    ours, took, link = rows[place][1:]
    assert ours == "87.00 ± 1.00 (1 × 2)" and link == "[lean](reproduction/lean.json)"
    assert took.startswith("15 iterations, 10 outer loops") and took.endswith(", as dc_lean")
    assert "\n1 of 17 cells have been run.\n" in part


@pytest.mark.slow
def test_a_figure_of_the_course_projects_batch_stands_before_one_of_another(tmp_path):
    few = {"iterations": 15, "outer": 10, "inner": 2}
    records = {}
    for name, batch, percent in (("usual", 256, 53.0), ("single", 1, 58.0)):
        study = Study(tmp_path / name)
        study.set("dc", "real", 10, 0, few, minute=1)
        minute = 55 if batch == 256 else 2
        study.evaluation(
            "dc", "real", 10, 0, [percent], network="ResNet18", batch=batch, minute=minute
        )
        records[name] = record(study.folder, COMMAND)
    place = "MNIST, dc from real, 10 per class, ResNet18"
    usual = rows_of(document.render({"usual": records["usual"]}))[1][place]
    assert usual[:2] == ["60.0 (not comparable)", "53.00 (1 × 1)"]
    both = document.render(records)
    assert rows_of(both)[1][place][:2] == ["60.0", "58.00 (1 × 1)"]
    assert "not comparable: networks trained at batch 1, ours at 256" in both
