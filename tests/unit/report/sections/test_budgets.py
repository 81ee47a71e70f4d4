"""Budgets, ours and theirs."""

from types import SimpleNamespace

import pandas as pd
import pytest

from distillery.report.cells import Cell
from distillery.report.sections import budgets
from distillery.store import measurements
from distillery.store.metrics import COLUMNS
from tests.unit.report.made import SETS, headline, rows_of, section, text_of


def test_few_experts_and_iterations_are_reported(study, page, tmp_path):
    assert (
        "MTT at 1 and 10 images per class ran with 6 experts and 100 iterations; published: 100 "
        "experts and 5000 iterations." in text_of(page)
    )


def test_few_experts_are_reported_every_method_that_learns_from_them():
    """As the sets say it: what the config says now may be another thing."""
    experts = {"recipe": "few", "number": 3, "epochs": 20}
    header = {"dataset": "MNIST", "settings": {"iterations": 100}}
    learned = {"tesla": (None, experts), "bold": ("mtt", experts), "dc": (None, None)}
    summary = pd.DataFrame(columns=["dataset", "method", "ipc", "models", "sets"])
    study = SimpleNamespace(
        headers={
            Cell("MNIST", name, "real", 1): {**header, "method": name, "of": of, "experts": found}
            for name, (of, found) in learned.items()
        },
        metrics=measurements.read_metrics(pd.DataFrame(columns=COLUMNS)),
        summary=summary,
        costs=[],
        config={"experts": {"default": {"number": 10}}, "methods": {}},
        is_coreset=lambda method: False,
        once=lambda key, find: find(),
    )
    told = budgets.expert_notes(study, "MNIST")
    less = (
        "at 1 image per class ran with 3 experts and 100 iterations; published: 100 experts and "
        "5000 iterations."
    )
    assert told == [f"TESLA {less}", f"BOLD {less}"]


@pytest.mark.slow
def test_a_student_that_ends_farther_away_than_it_began_is_reported(study, tmp_path):
    def run(method, init, losses, learned=True):
        rows = rows_of(method, init, {0: [0.5]})
        for measure, values in (
            ("matching_loss", losses),
            ("step_size", [0.02] * len(losses) * learned),
        ):
            rows += [
                {
                    **rows[0],
                    "network": "",
                    "selection": "",
                    "split": "",
                    "measure": measure,
                    "iteration": i + 1,
                    "value": v,
                }
                for i, v in enumerate(values)
            ]
        return rows

    # Of 20 iterations the last two count.
    rows = (
        run("mtt", "real", [4.0] * 18 + [1.0, 1.5])
        + run("mtt", "noise", [4.0] * 18 + [1.0, 0.5])
        + run("dc", "real", [9.0] * 20, learned=False)
    )
    _, text = section(study, tmp_path, "accuracy", rows)
    assert (
        "MTT, real images, 1 image per class: the matching loss ended at 1.25. Above 1 the student "
        "ends farther" in text
    )
    assert text.count("the matching loss ended at") == 1


@pytest.mark.slow
def test_evaluation_epochs_are_those_that_the_jobs_were_asked_for(study, tmp_path):
    cell = {
        "rule": "evaluate_synthetic",
        "dataset": "MNIST",
        "method": "dc",
        "init": "real",
        "ipc": 1,
        "seed": 0,
    }
    costs = [
        {**cell, "network": network, "seconds": 1.0, "settings": {"epochs": epochs}}
        for network, epochs in (("ConvNet", 300), ("MLP", 40), ("LeNet", 300))
    ]
    # The protocol trains one epoch more than it counts; a curve may end anywhere.
    curve = [{**SETS[0], "epoch": epoch} for epoch in (20, 301)]
    _, page = headline(study, tmp_path, SETS + curve, costs=costs)
    assert "evaluation epochs" in page and " 40 or 300 " in page and " 301 " not in page
