"""A config, read: one text for one study."""

import copy

import pytest

from distillery import plugins
from distillery.study import load
from distillery.study.cells import Cell
from tests.unit.study.small import BLOCK, study


def test_a_config_comes_to_one_text_wherever_its_keys_stand():
    """Snakemake compares params by their text, and a second config puts its keys elsewhere."""
    given = {
        "seed": 3,
        "evaluate": {"epochs": 3, "networks": "ConvNet"},
        "compute": {"threads": 1, "precision": "float32"},
        "results": "out",
    }
    base = {"study": "Test", "grid": [dict(BLOCK)]}
    turned = {
        key: dict(reversed(value.items())) if isinstance(value, dict) else value
        for key, value in reversed(given.items())
    }
    assert str(load.study(base | given).config) == str(load.study(turned | base).config)


def test_the_config_that_was_given_is_left_alone():
    given_config = {
        "study": "Test",
        "grid": [{"dataset": "MNIST", "method": "dc", "init": "real", "ipc": 1}],
        "methods": {"dc": {"iterations": 3}},
    }
    before = copy.deepcopy(given_config)
    load.study(given_config)
    assert given_config == before


def test_a_name_that_is_said_twice_is_one_job():
    doubled = study(
        evaluate__networks=["MLP", "ConvNet", "MLP"],
        vanilla__networks=["MLP", "MLP"],
        continual__strategies=["joint", "joint"],
    )
    assert doubled.evaluation_networks("digits") == ["MLP", "ConvNet"]
    assert doubled.vanilla_networks("digits") == ["MLP"] and doubled.strategies == ["joint"]


@pytest.mark.parametrize("method", sorted(plugins.methods()))
def test_a_method_s_settings_are_all_its_own_and_none_of_another_s(method):
    block = {
        "dataset": "MNIST",
        "method": ["dc", "mtt", "random", "herding"],
        "init": "real",
        "ipc": 1,
    }
    methods = {
        "dc": {"iterations": 11, "momentum": 0.125},
        "mtt": {"iterations": 12, "momentum": 0.375},
    }
    found = study(grid=[block], methods=methods)
    settings = found.method_settings(Cell("MNIST", method, "real", 1, 0))
    declared = plugins.methods()[method].settings
    assert settings == {name: rule["default"] for name, rule in declared.items()} | methods.get(
        method, {}
    )
