"""Labels as an axis, from the config to the report, and what follows from a change of the
teacher."""

import pytest

from distillery.store.measurements import read_metrics
from tests.workflow.conftest import Workflow

pytestmark = pytest.mark.long

CONFIG = {
    "study": "Labels",
    "compute": {"threads": 1},
    "networks": {"ConvNet": {"width": 8, "depth": 2}},
    "grid": [{"dataset": "digits", "method": "random", "init": "real", "ipc": 2}],
    "experts": {"default": {"number": 2, "shard": 1, "epochs": 1}},
    "snapshots": 1,
    "evaluate": {
        "networks": ["MLP"],
        "models": 1,
        "epochs": 2,
        "curve": 0,
        "labels": ["own", "hard", "teacher"],
        "first": [1],
    },
    "vanilla": {"networks": ["MLP"], "epochs": 1, "preset": "rded"},
    "continual": {"datasets": []},
}


@pytest.fixture
def run(starter, tmp_path):
    return Workflow.laid(tmp_path / "a study", starter, CONFIG)


def test_a_set_under_three_kinds_of_labels_and_what_another_teacher_makes_stale(run):
    run.make()
    rows = read_metrics(run / "results/summary.csv")
    found = rows[rows["measure"].str.startswith("accuracy") & (rows["split"] == "test")]
    assert set(zip(found["rule"], found["measure"], found["labels"], strict=True)) == {
        ("evaluate_synthetic", "accuracy", "hard"),
        ("evaluate_synthetic", "accuracy_by_labels", "teacher"),
        ("evaluate_synthetic", "accuracy_of_first", "hard"),
        ("train_vanilla", "accuracy", "teacher"),
    }
    page = (run / "results/report.html").read_text(encoding="utf-8")
    assert 'id="labels"' in page and 'id="nested"' in page
    assert run.planned() == set()
    # The experts stay; the full training set has a teacher of its own.
    run.change(evaluate={"teacher": {"temperature": 2}})
    assert run.jobs() == ["collect", "evaluate_synthetic", "report"]
    # Another recipe is trained for whom it teaches.
    run.change(
        experts={"long": {"number": 1, "epochs": 2}}, evaluate={"teacher": {"experts": "long"}}
    )
    assert run.jobs() == ["collect", "evaluate_synthetic", "report", "train_experts"]
