"""Confusions on the page."""

import pytest
import torch

from distillery.evaluation.confusion import Confusion
from distillery.report.sections import confusion
from distillery.store import artefact
from tests.unit.report.made import SETS
from tests.unit.report.sections.test_scorecard import results_of


def counted(path, answers, classes, **about):
    """Counts of an evaluation: two images per class, and what one network took them for."""
    counts = Confusion()
    counts.count(torch.arange(classes).repeat(2), torch.tensor([answers]))
    header = {"dataset": "MNIST", "method": "dc", "init": "real", "ipc": 1, "seed": 0}
    header |= {"network": "ConvNet", "models": 1, "classes": [f"c{i}" for i in range(classes)]}
    artefact.save(path, {"pairs": counts.pairs}, header | about)
    return path


def test_the_sets_of_a_cell_are_added_up_and_other_networks_left_out(tmp_path):
    paths = [
        counted(tmp_path / "0", [0, 1, 0, 0], 2),
        counted(tmp_path / "1", [0, 0, 0, 0], 2, seed=1),
        counted(tmp_path / "2", [1, 1, 1, 1], 2, network="MLP"),
    ]
    (block,) = confusion.view(results_of(SETS, []), paths)
    (shown,) = block["sets"]
    assert [[count for count, _ in row["cells"]] for row in shown["rows"]] == [[4, 0], [3, 1]]
    assert shown["networks"] == "2 networks" and shown["cell"] == "MNIST|dc|real|1"
    assert shown["confused"] == [{"true": "c1", "answer": "c0", "count": 3, "share": "75.0"}]


@pytest.mark.parametrize("classes", [20, 1000])
def test_of_many_classes_those_confused_most_stand_there(tmp_path, classes):
    answers = [(i + 1) % classes for i in range(classes)] * 2
    answers[7], answers[8] = 7, 8
    (block,) = confusion.view(results_of(SETS, []), [counted(tmp_path / "0", answers, classes)])
    (shown,) = block["sets"]
    assert len(shown["rows"]) == (20 if classes == 20 else 0)
    pairs = [(row["true"], row["answer"], row["count"]) for row in shown["confused"]]
    assert len(pairs) == (18 if classes == 20 else 20) + 2 * (classes == 20)
    assert pairs[0] == ("c0", "c1", 2)


def test_of_many_sets_some_are_shown(tmp_path, monkeypatch):
    monkeypatch.setattr(confusion, "SETS", 2)
    paths = [counted(tmp_path / f"{ipc}", [0, 1, 0, 1], 2, ipc=ipc) for ipc in (1, 2, 3)]
    (block,) = confusion.view(results_of(SETS, []), paths)
    assert len(block["sets"]) == 2 and block["left_out"] == 1
