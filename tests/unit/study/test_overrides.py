"""Overrides: which cells they are for, and which of two wins."""

from tests.unit.study.small import BLOCK, study


def test_later_overrides_win_and_only_those_that_match_the_cell():
    methods = {
        "iterations": 7,
        "overrides": [
            {"when": {"ipc": [1, 10]}, "iterations": 8, "momentum": 0.25},
            {"when": {"ipc": 10, "init": "noise"}, "iterations": 9},
            {"when": {"dataset": "MNIST"}, "iterations": 10},
        ],
    }
    found = study(
        grid=[{**BLOCK, "init": ["real", "noise"], "ipc": [1, 10, 50]}], methods__dc=methods
    )
    iterations = {
        (cell.ipc, cell.init): found.method_settings(cell)["iterations"] for cell in found.cells
    }
    assert iterations == {
        (1, "real"): 8,
        (1, "noise"): 8,
        (10, "real"): 8,
        (10, "noise"): 9,
        (50, "real"): 7,
        (50, "noise"): 7,
    }
    momentum = {cell.ipc: found.method_settings(cell)["momentum"] for cell in found.cells}
    assert momentum == {1: 0.25, 10: 0.25, 50: 0.5}


def test_robust_scores_follow_the_overrides_of_the_distillation_network_s_evaluation():
    overrides = [
        {"when": {"network": "ConvNet"}, "epochs": 7, "augment": "dc_mnist"},
        {"when": {"network": "MLP"}, "epochs": 9},
        {"when": {"init": "noise"}, "robust": {"models": 0}},
        {"when": {"ipc": 10}, "robust": {"models": 1}},
    ]
    said = {"evaluate__robust": {"models": 2, "augment": "dc_bn"}, "evaluate__overrides": overrides}
    found = study(grid=[{**BLOCK, "init": ["real", "noise"], "ipc": [1, 10]}], **said)
    robust = {(cell.init, cell.ipc): found.robust(cell) for cell in found.cells}
    assert robust["noise", 1] is None
    assert robust["real", 1]["robust"] == {"models": 2, "augment": "dc_bn"}
    assert (
        robust["real", 10]["robust"]
        == robust["noise", 10]["robust"]
        == {"models": 1, "augment": "dsa"}
    )
    assert all(
        settings["epochs"] == 7 and settings["augment"] == "dc_mnist"
        for settings in robust.values()
        if settings
    )


def test_an_override_s_selection_has_the_same_defaults_as_the_section_s():
    found = study(
        evaluate__selection={"models": 1},
        evaluate__overrides=[{"when": {"ipc": 1}, "selection": {"test": False}}],
    )
    assert found.evaluation(found.cells[0], "ConvNet")["selection"] == {"models": 2, "test": False}
