"""Only work of the published amount is called so."""

import pytest

from distillery.published import budgets, figures
from tests.unit.published.studies import DC, FIRST, cell_with, measured


@pytest.mark.parametrize(
    "change, expected",
    [
        ({}, "published budget"),
        ({"settings": {**DC, "iterations": 999}}, "smaller budget"),
        ({"settings": {**DC, "outer": 9}}, "smaller budget"),
        ({"settings": {**DC, "inner": 51}}, "larger budget"),
        ({"settings": {**DC, "iterations": 2000}}, "larger budget"),
        ({"settings": {}}, "budget of the source unknown"),
        ({"evaluation": {"epochs": 300}}, "smaller budget"),
        (
            {"settings": {"iterations": 100}, "evaluation": {"epochs": 20}},
            "course project's budget",
        ),
        ({"settings": {"iterations": 99}, "evaluation": {"epochs": 20}}, "smaller budget"),
        ({"distilled_with": {"name": "ConvNet", "options": {"width": 64}}}, "other network"),
        ({"distilled_with": {"name": "MLP", "options": {}}}, "other network"),
        ({"sets": 4}, "published budget, fewer networks"),
    ],
)
def test_only_the_published_budget_is_called_so(change, expected):
    sets = [measured(FIRST)] * change.pop("sets", 5)
    cell = cell_with(**{"settings": DC, "evaluation": {"epochs": 1000}, "sets": sets, **change})
    beside = {
        p: figures.lookup("MNIST", "dc", ipc=10, init="real", protocol=p).iloc[0]
        for p in figures.PROTOCOLS
    }
    assert budgets.mark(cell, beside) == expected


@pytest.mark.parametrize(
    "experts, init, expected",
    [
        (100, "real", "published budget"),
        (100, "noise", "published budget, other start"),
        (99, "real", "smaller budget"),
    ],
)
def test_trajectory_matching_needs_the_published_experts_and_start(experts, init, expected):
    cell = cell_with(
        dataset="CIFAR10",
        method="mtt",
        init=init,
        ipc=50,
        settings={"iterations": 5000},
        experts={"number": experts, "epochs": 50},
        evaluation={"epochs": 1000},
        sets=[measured([70.0] * 5)],
    )
    beside = {
        "published": figures.lookup("CIFAR10", "mtt", ipc=50, init=init, protocol="published").iloc[
            0
        ]
    }
    assert budgets.mark(cell, beside) == expected
    cell.experts = None
    assert budgets.mark(cell, beside) == "budget of the source unknown"


@pytest.mark.parametrize(
    "decay, expected",
    [
        ("published", "1000 evaluation epochs"),
        ("half", "1000 evaluation epochs (decay half)"),
    ],
)
def test_an_evaluation_under_another_decay_says_so(decay, expected):
    cell = cell_with(
        settings=DC,
        evaluation={"epochs": 1000, "decay": decay},
        sets=[measured(FIRST)] * 5,
    )
    assert budgets.words(cell, {}).split(", ")[3] == expected
