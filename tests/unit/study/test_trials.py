"""Networks from outside are tried by a process of its own, before any job."""

import os
import sys

import pytest

from distillery.errors import UserError
from distillery.study import fingerprint, trials
from tests.unit.study.small import study
from tests.unit.test_plugins import METHOD

NETS = """
import os, sys
from torch import nn

print("a module that speaks")


def make(channels, size, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * size * size, classes))


def batch_norm(channels, size, classes):
    return nn.Sequential(nn.Flatten(), nn.BatchNorm1d(channels * size * size),
                         nn.Linear(channels * size * size, classes))


def dies(channels, size, classes):
    print("the last words", file=sys.stderr, flush=True)
    os._exit(7)


def sees_distillery(channels, size, classes):
    raise ValueError(sys.modules["distillery"].__file__)
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    (tmp_path / "nets.py").write_text(NETS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def sharing(monkeypatch, starter):
    """The processes are forks of one that has imported torch and its compiler."""
    monkeypatch.setattr(sys, "executable", str(starter.interpreter))


def refused(factory, **changes):
    read = study(
        networks={"mine": {"factory": f"nets.py:{factory}"}},
        **{"evaluate__networks": ["mine"], **changes},
    )
    with pytest.raises(UserError) as caught:
        trials.check(read)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_study_without_networks_from_outside_starts_no_process(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    trials.check(study())


@pytest.mark.slow
def test_what_a_study_asks_of_a_network_is_tried(sharing, capfd):
    trials.check(study(networks={"mine": {"factory": "nets.py:make"}}, network="mine"))
    assert capfd.readouterr() == ("", "")
    told = refused("batch_norm", network="mine")
    assert told.startswith("config: on digits: network mine has batch normalisation (1)")
    # It may evaluate, and a study without a distilled set asks no more of it.
    trials.check(
        study(
            networks={"mine": {"factory": "nets.py:batch_norm"}},
            network="mine",
            evaluate__networks=["mine"],
            grid=[{"dataset": "digits", "method": "random", "init": "real", "ipc": 1}],
        )
    )


@pytest.mark.slow
def test_a_process_that_dies_is_reported_with_its_last_words():
    assert refused("dies") == ("config: trying nets.py ended with status 7: the last words")


@pytest.mark.slow
def test_the_library_of_the_study_is_the_one_that_tries(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["/somewhere/else"]))
    root = os.path.dirname(os.path.dirname(trials.__file__))
    assert os.path.join(root, "__init__.py") in refused("sees_distillery")


@pytest.mark.parametrize(
    ("changes", "distils", "embeds"),
    [
        ({"network": "mine"}, True, False),
        ({"network": "mine", "grid": ["dm"]}, True, True),
        ({"network": "mine", "grid": ["herding"]}, True, True),
        ({"network": "mine", "grid": ["herding"], "pixels": True}, True, False),
        ({"network": "mine", "grid": ["random"]}, False, False),
        ({}, False, False),
    ],
)
def test_a_network_is_asked_for_what_the_study_needs(changes, distils, embeds):
    changes = dict(changes)
    methods = changes.pop("grid", ["dc"])
    if changes.pop("pixels", False):
        changes["methods__herding"] = {"features": "pixels"}
    read = study(
        networks={"mine": {"factory": "nets.py:make"}},
        grid=[{"dataset": "digits", "method": methods, "init": "real", "ipc": 1}],
        **changes,
    )
    asked = trials._of_network(read, "digits", "mine")
    assert (asked["distils"], asked["embeds"]) == (distils, embeds)


@pytest.mark.slow
def test_what_was_found_good_is_not_tried_again(sharing, tmp_path, monkeypatch):
    def tried(**changes):
        calls.clear()
        trials.check(
            study(
                networks={"mine": {"factory": "nets.py:make"}},
                **{"evaluate__networks": ["mine"], **changes},
            ),
            "results/tried.json",
        )
        return len(calls)

    calls = []
    real = trials._tried
    monkeypatch.setattr(trials, "_tried", lambda *given: calls.append(1) or real(*given))
    assert tried() == 1 and tried() == 0
    assert tried(network="mine") == 1 and tried() == 0
    fingerprint.forget()
    (tmp_path / "nets.py").write_text(NETS + "\nMORE = 1\n", encoding="utf-8")
    assert tried() == 1
    (tmp_path / "results/tried.json").write_text("broken", encoding="utf-8")
    assert tried() == 1 and tried() == 0


@pytest.mark.slow
def test_a_plug_in_that_cannot_be_imported_is_reported_before_any_job(sharing, tmp_path):
    (tmp_path / "mine/methods").mkdir(parents=True)
    plugin = tmp_path / "mine/methods/broken.py"
    plugin.write_text(METHOD + "\nimport nothing_of_the_kind\n", encoding="utf-8")
    grid = [{"dataset": "digits", "method": "broken", "init": "real", "ipc": 1}]
    mtt = {"broken": {"iterations": 1}}
    read = study(plugins="mine/", grid=grid, methods=mtt)
    with pytest.raises(UserError) as caught:
        trials.check(read)
    assert str(caught.value) == (
        "config: mine/methods/broken.py: cannot be imported: ModuleNotFoundError: No module named "
        "'nothing_of_the_kind'"
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def make(c, s, k):\n    from . import x\n", "relative import on line 2: the file has no"),
        ("import helper\n\n\ndef make(c, s, k):\n    pass\n", "helper.py: line 1: is not Python"),
    ],
)
def test_what_cannot_be_followed_is_reported_without_a_process(tmp_path, monkeypatch, text, words):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    fingerprint.forget()
    (tmp_path / "nets.py").write_text(text, encoding="utf-8")
    (tmp_path / "helper.py").write_text("x = = 1\n", encoding="utf-8")
    assert words in refused("make")
