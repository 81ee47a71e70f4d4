"""A small study, with some of its keys changed."""

import copy

import pytest

from distillery.errors import UserError
from distillery.study import load

BLOCK = {"dataset": "digits", "method": "dc", "init": "real", "ipc": 1}


MTT = {"iterations": 5, "expert_epochs": 2, "max_start_epoch": 3}


def study(**changes):
    """A small study with some of its keys changed: `evaluate__epochs=3` is `evaluate: {epochs:
    3}`."""
    config = {
        "study": "Test",
        "grid": [dict(BLOCK)],
        "evaluate": {"networks": "ConvNet"},
        "vanilla": {"networks": "ConvNet"},
    }
    for path, value in changes.items():
        *folders, name = path.split("__")
        place = config
        for folder in folders:
            place = place.setdefault(folder, {})
        place[name] = copy.deepcopy(value)
    return load.study(config)


def refusal(**changes):
    with pytest.raises(UserError) as caught:
        study(**changes)
    assert "\n" not in str(caught.value)
    return str(caught.value)
