"""Balanced accuracy and AUROC against hand-made answers."""

import pytest
import torch

from distillery.evaluation import imbalance


@pytest.mark.parametrize(
    "counts, expected",
    [([10, 10, 10], False), ([14, 10, 10], False), ([15, 10, 10], True), ([10, 10], True)],
)
def test_uneven_test_images_are_found(counts, expected):
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    assert imbalance.uneven(labels, len(counts)) is expected


def test_a_class_without_images_makes_nothing_uneven():
    assert not imbalance.uneven(torch.tensor([0, 0, 2, 2]), 3)


def test_balanced_accuracy_is_the_mean_over_the_classes_that_have_images():
    assert imbalance.balanced_accuracy(torch.tensor([1.0, 0.5, float("nan")])) == 0.75


@pytest.mark.slow
def test_auroc_counts_the_pairs_in_order():
    """Of two classes: the share of (positive, negative) pairs that are ranked right, ties half."""
    scores = torch.tensor([0.1, 0.4, 0.35, 0.8])
    labels = torch.tensor([0, 0, 1, 1])
    logits = torch.stack([torch.zeros(4), scores], 1)
    assert imbalance.auroc(logits, labels) == pytest.approx(3 / 4)
    assert imbalance.auroc(logits.flip(1), labels) == pytest.approx(1 / 4)
    assert imbalance.auroc(torch.zeros(4, 2), labels) == pytest.approx(0.5)


def test_auroc_of_several_classes_is_the_mean_of_each_against_the_others():
    logits = torch.tensor([[3.0, 0, 0], [0, 3, 0], [0, 3, 0], [0, 0, 3]])
    labels = torch.tensor([0, 1, 2, 2])
    # Class 0: all 3 pairs right. Class 1: against 3 others one ties: 2.5 / 3. Class 2: of 4 pairs
    # the one answered right wins both, the other ties with class 0 and with class 1 loses.
    p = logits.softmax(1)[:, 2]
    pairs = [float(a > b) + 0.5 * float(a == b) for a in p[2:] for b in p[:2]]
    assert imbalance.auroc(logits, labels) == pytest.approx((1 + 2.5 / 3 + sum(pairs) / 4) / 3)
    # A class without an image has no curve.
    assert imbalance.auroc(logits[:2], labels[:2]) == 1.0


def test_auroc_is_not_defined_for_one_class_or_a_diverged_network():
    assert imbalance.auroc(torch.randn(3, 2), torch.ones(3, dtype=torch.int64)) is None
    assert imbalance.auroc(torch.full((2, 2), float("nan")), torch.tensor([0, 1])) is None
