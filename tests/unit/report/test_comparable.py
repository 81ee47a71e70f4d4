"""Whether a published figure may stand against one of ours."""

from types import SimpleNamespace

import pytest

from distillery import plugins
from distillery.report import comparable
from distillery.report.cells import Cell
from distillery.report.results import Results
from distillery.study.overrides import resolve
from distillery.study.presets import recipe
from tests.unit.report.made import rows_of, section

SEEDS = {0: [0.4, 0.42]}
TEACHER = {"experts": "default", "number": 1, "epoch": "last", "temperature": 4}


def published(method, dataset="CIFAR10", ipc=1, **changes):
    """The settings of an evaluation by the recipe that a method was published with."""
    protocol = plugins.methods()[method].protocol
    return recipe(resolve(protocol, {"dataset": dataset, "ipc": ipc})) | changes


def shown(study, tmp_path, method, settings, dataset="CIFAR10", ipc=1):
    """What the table of accuracies says beside a set of one image per class, of which the course
    project has no figure, and the marks on the axis."""
    rows = rows_of(method, "real", SEEDS, dataset=dataset, ipc=ipc)
    rows += rows_of("el2n", "real", {0: [0.5, 0.6]}, dataset=dataset, ipc=ipc)
    # Of ten classes.
    rows.append({**rows[0], "measure": "class_accuracy", "class": 9})
    costs = [
        {
            "rule": "evaluate_synthetic",
            **{"dataset": dataset, "method": method, "init": "real", "ipc": ipc, "seed": 0},
            **{"network": "ConvNet", "settings": settings},
        }
    ]
    found, text = section(study, tmp_path, "accuracy", rows, costs=costs)
    title = plugins.methods()[method].title
    return next(row for row in found if row.startswith(title + " ")), text


@pytest.mark.parametrize("method", ["dc", "dsa", "mtt", "ncfm", "random"])
def test_a_figure_stands_beside_sets_that_networks_were_trained_on_by_its_recipe(
    study, tmp_path, method
):
    row, _ = shown(study, tmp_path, method, published(method, models=2, curve=0))
    assert "not comparable" not in row


@pytest.mark.parametrize(
    ("header", "batch", "said"),
    [
        ({}, 16, ""),
        ({"factor": 2}, 16, "batch 40 (here 16), images that here hold 2 x 2 each"),
        ({"factor": 2}, 64, "images that here hold 2 x 2 each"),
    ],
)
def test_a_figure_says_where_our_images_hold_several(header, batch, said):
    cell = Cell("CIFAR10", "dc", "real", 1)
    costs = [{"network": "ConvNet", "settings": published("dc", batch=batch)}]
    results = SimpleNamespace(
        headers={cell: header},
        factor=lambda cell: Results.factor(results, cell),
        jobs_of=lambda *_: costs,
        sets_of=lambda _: [],
        classes=lambda _: list("0123456789"),
    )
    expected = said and f"measured with {said}"
    assert comparable.apart(results, cell, "ConvNet", "published") == expected


@pytest.mark.parametrize(
    ("method", "changes", "said"),
    [
        ("dc", {"epochs": 20}, "epochs 300 (here 20)"),
        (
            "dsa",
            {"augment": "none", "decay": "half"},
            "decay published (here half), augment dsa (here none)",
        ),
        ("mtt", {"lr": 0.01}, "lr learned (here 0.01)"),
        ("ncfm", {"mix": "none"}, "mix cutmix (here none)"),
        ("dc", {"optimiser": "adamw"}, "optimiser sgd (here adamw)"),
        (
            "dc",
            {"labels": ["teacher", "own"], "teacher": TEACHER},
            "labels hard (here teacher)",
        ),
    ],
)
def test_a_figure_of_another_recipe_says_in_what_it_differs(study, tmp_path, method, changes, said):
    row, text = shown(study, tmp_path, method, published(method, **changes))
    assert f"not comparable: measured with {said}" in row
    assert "published (dotted" not in text, "no mark on the axis"


def test_a_batch_beyond_the_set_is_the_set(study, tmp_path):
    # One image of each of ten classes.
    assert "not comparable" not in shown(study, tmp_path, "dc", published("dc", batch=10))[0]
    row, _ = shown(study, tmp_path, "dc", published("dc", batch=5))
    assert "measured with batch 10 (here 5)" in row


def test_the_evaluation_of_a_dataset_is_that_of_the_paper_on_it(study, tmp_path):
    settings = published("random", "MNIST")
    assert (settings["epochs"], settings["augment"]) == (1000, "dc_mnist")
    assert "not comparable" not in shown(study, tmp_path, "random", settings, "MNIST")[0]
    row, _ = shown(study, tmp_path, "random", published("random"), "MNIST")
    assert "measured with epochs 1000 (here 300), augment dc_mnist (here none)" in row


def test_a_table_that_does_not_give_its_recipe_is_comparable_with_nothing(study, tmp_path):
    row, _ = shown(study, tmp_path, "k_center", published("k_center"))
    assert "not comparable: its source does not give the recipe" in row


def test_nothing_is_said_where_the_recipe_of_ours_is_not_known(study, tmp_path):
    assert "not comparable" not in shown(study, tmp_path, "dc", {})[0]


def test_the_course_project_s_networks_on_resnet_saw_one_image_a_step():
    """Asked of a set that is at hand: the page writes what this says beside the figure."""
    cell = Cell("CIFAR10", "dc", "real", 10)
    for network, batch, said in (
        ("ResNet18", 1, ""),
        ("ResNet18", 256, "measured with batch 1 (here 100)"),
        ("ConvNet", 256, ""),
    ):
        costs = [{"network": network, "settings": {"epochs": 20, "batch": batch}}]
        results = SimpleNamespace(
            headers={cell: {}},
            factor=lambda cell: 1,
            jobs_of=lambda *_, costs=costs: costs,
            sets_of=lambda _: [],
            classes=lambda _: list("0123456789"),
        )
        assert comparable.apart(results, cell, network, "course project") == said


@pytest.mark.slow
def test_the_course_project_s_figures_are_of_its_epochs(study, tmp_path):
    ten = {"ipc": 10}
    row, _ = shown(study, tmp_path, "dc", published("dc", **ten, epochs=20), **ten)
    assert row.count("not comparable") == 1, "the published one alone"
    row, _ = shown(study, tmp_path, "dc", published("dc", **ten), **ten)
    assert "35.92 2 not comparable: measured with epochs 20 (here 300)" in row
