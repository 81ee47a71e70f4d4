"""Presets: what stands in their place, and what wins beside them."""

import pytest

from distillery import plugins
from distillery.store.layout import Layout
from distillery.study import load
from distillery.study.jobs import Jobs
from tests.unit.study.small import BLOCK, refusal, study

RECIPE = (
    *("epochs", "lr", "momentum", "weight_decay", "batch", "decay", "augment"),
    *("optimiser", "mix", "labels"),
)
ON = {"grid": [{**BLOCK, "dataset": ["MNIST", "CIFAR10"], "method": ["dc", "dm"], "ipc": [1, 10]}]}


def recipe(found, network="ConvNet", **cell):
    """The recipe of the one set that these axes name."""
    (one,) = [
        each
        for each in found.cells
        if all(getattr(each, key) == value for key, value in cell.items())
    ]
    settings = found.evaluation(one, network)
    return {key: settings[key] for key in (*RECIPE, "teacher") if key in settings}


def text(**changes):
    return str(study(**changes).config)


def test_a_preset_is_the_recipe_under_which_its_method_was_published():
    found = study(**ON, evaluate__preset="dc", evaluate__models=3)
    usual = {
        **{"epochs": 300, "lr": 0.01, "momentum": 0.9, "weight_decay": 0.0005, "batch": 256},
        **{"decay": "published", "augment": "none"},
        **{"optimiser": "sgd", "mix": "none", "labels": ["own"]},
    }
    assert recipe(found, dataset="CIFAR10", method="dm", ipc=10) == usual
    on_mnist = usual | {"epochs": 1000, "augment": "dc_mnist"}
    assert recipe(found, dataset="MNIST", method="dm", ipc=10) == on_mnist
    # How many networks is no part of how they are trained.
    assert found.evaluation(found.cells[0], "ConvNet")["models"] == 3


def test_the_preset_of_rded_learns_from_a_teacher_in_batches_that_its_size_decides():
    found = study(**ON, evaluate__preset="rded")
    one, ten = (recipe(found, dataset="CIFAR10", method="dc", ipc=ipc) for ipc in (1, 10))
    assert (one["batch"], ten["batch"]) == (10, 50)
    assert ten["labels"] == ["teacher"] and ten["optimiser"] == "adamw"
    teacher = {"experts": "default", "number": 1, "epoch": "last", "temperature": 20.0}
    assert ten["teacher"] == teacher


def test_keys_named_beside_a_preset_win_in_every_part_of_it():
    found = study(**ON, evaluate={"preset": "dc", "epochs": 7, "networks": "ConvNet"})
    for dataset, augment in (("MNIST", "dc_mnist"), ("CIFAR10", "none")):
        settings = recipe(found, dataset=dataset, method="dc", ipc=1)
        assert (settings["epochs"], settings["augment"]) == (7, augment)
    block = {"preset": "rded", "teacher": {"epoch": 3}, "batch": 9, "networks": "ConvNet"}
    settings = recipe(study(**ON, evaluate=block), dataset="MNIST", method="dc", ipc=1)
    assert settings["batch"] == 9
    assert settings["teacher"]["epoch"] == 3 and settings["teacher"]["temperature"] == 20.0


def test_a_preset_of_an_override_is_for_the_cells_that_it_names_alone():
    overrides = [{"when": {"method": "dm", "dataset": "MNIST"}, "preset": "dc", "lr": 0.5}]
    said = {"optimiser": "adamw", "mix": "cutmix", "epochs": 3, "networks": "ConvNet"}
    found = study(**ON, evaluate={**said, "overrides": overrides})
    other = recipe(found, dataset="MNIST", method="dc", ipc=1)
    assert (other["optimiser"], other["mix"], other["epochs"]) == ("adamw", "cutmix", 3)
    # What the preset leaves as usual is not left as the section has it.
    ours = recipe(found, dataset="MNIST", method="dm", ipc=1)
    assert (ours["optimiser"], ours["mix"], ours["lr"]) == ("sgd", "none", 0.5)
    assert (ours["epochs"], ours["augment"]) == (1000, "dc_mnist")
    assert recipe(found, dataset="CIFAR10", method="dm", ipc=1)["epochs"] == 3


def test_a_later_override_wins_over_a_preset():
    overrides = [{"when": {"dataset": "MNIST"}, "epochs": 4}]
    found = study(**ON, evaluate={"preset": "dc", "overrides": overrides})
    assert recipe(found, dataset="MNIST", method="dc", ipc=1)["epochs"] == 4


def test_the_full_training_set_has_hard_labels_and_no_step_size_of_its_own():
    vanilla = study(vanilla={"preset": "mtt", "networks": "ConvNet"}).vanilla("digits", "ConvNet")
    assert (vanilla["lr"], vanilla["labels"], vanilla["epochs"]) == (0.01, "hard", 1000)
    # Overrides by size are for sets.
    found = study(vanilla={"preset": "rded", "networks": "ConvNet"})
    vanilla = found.vanilla("digits", "ConvNet")
    assert (vanilla["batch"], vanilla["labels"]) == (100, "teacher")
    assert vanilla["teacher"]["temperature"] == 20.0


def test_a_preset_and_its_keys_written_out_are_one_config_and_one_study():
    """Staleness, and all that is stored, knows resolved values only."""
    found = study(**ON, evaluate__preset="rded")
    assert "preset" not in str(found.config)
    again = load.study(found.config)
    assert str(again.config) == str(found.config)
    assert Jobs(again, Layout("out")).digest() == Jobs(found, Layout("out")).digest()
    assert text(evaluate__preset="dm") == text(evaluate__preset="dsa")
    assert text(evaluate__preset="dc") != text(evaluate__preset="dsa")


@pytest.mark.parametrize("method", sorted(plugins.methods()))
def test_the_recipe_of_every_method_can_be_asked_for(method):
    found = study(**ON, evaluate__preset=method, vanilla__preset=method)
    assert set(RECIPE) <= set(recipe(found, dataset="MNIST", method="dc", ipc=1))


def test_a_preset_that_is_none_is_refused_where_it_stands():
    assert refusal(evaluate__preset="rdde").startswith(
        "config: evaluate: unknown preset, which is a method's name, 'rdde'; did you mean 'rded'?"
    )
    said = refusal(vanilla__overrides=[{"when": {"dataset": "digits"}, "preset": "x"}])
    assert said.startswith("config: vanilla.overrides[0]: unknown preset")
    assert refusal(evaluate__preset=3) == "config: evaluate.preset: must be a text, not 3"
    assert "overrides" in refusal(evaluate__preset="dc", evaluate__overrides=3)
