"""Which classes networks take for which."""

import torch

from distillery.evaluation import evaluate
from distillery.evaluation.confusion import Confusion
from distillery.recipe import Recipe
from tests.unit.evaluation.test_evaluate import data, measure, values


def test_the_answers_of_all_networks_are_counted_by_class():
    counts = Confusion()
    labels = torch.tensor([0, 0, 2])
    first = counts.count(labels, torch.tensor([[0, 1, 2], [0, 1, 0]], dtype=torch.int32))
    assert first.tolist() == [[0, 0, 2], [0, 1, 2], [2, 0, 1], [2, 2, 1]]
    counts.count(labels, torch.tensor([[1, 1, 1]], dtype=torch.int32))
    assert counts.pairs.tolist() == [[0, 0, 2], [0, 1, 4], [2, 0, 1], [2, 1, 1], [2, 2, 1]]
    again = Confusion()
    again.resumed([first, first])
    assert again.pairs.tolist() == [[a, b, 2 * n] for a, b, n in first.tolist()]


def test_a_thousand_classes_take_a_row_for_each_pair_that_occurs():
    counts = Confusion()
    labels = torch.arange(50_000) % 1000
    counts.count(labels, labels.int()[None])
    assert counts.pairs.shape == (1000, 3)


def test_they_are_those_of_the_accuracies_and_change_no_bit(monkeypatch):
    """Three networks, two at a time, each tested once."""
    monkeypatch.setattr(evaluate, "stack_size", lambda *_: 2)
    tested, counts = data(15, 2), Confusion()
    tested.labels[4] = 2
    recipe = Recipe(epochs=2, lr=0.01, batch=16)
    given = measure(recipe, tested, models=3, curve=1, confusion=counts)
    assert given.rows == measure(recipe, tested, models=3, curve=1).rows
    true, answers, number = counts.pairs.T
    assert int(number.sum()) == 3 * 15
    assert torch.equal(
        torch.zeros(3, dtype=torch.int64).index_add_(0, true, number),
        3 * torch.bincount(tested.labels),
    )
    accuracies = [row["value"] for row in values(given, measure="accuracy", epoch=None)]
    assert int(number[true == answers].sum()) == round(15 * sum(accuracies))
