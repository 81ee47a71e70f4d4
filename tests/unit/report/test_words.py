"""Numbers and names as a reader is shown them."""

import math

import pytest

from distillery import vocabulary
from distillery.report import words
from distillery.report.sections import continual


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (words.percent(0.98765), "98.77"),
        (words.percent(math.nan), ""),
        (words.signed(-0.001), "+0.00"),
        (words.signed(-1.25), "−1.25"),
        (words.plus_minus(0.5, 0.01, 3), "50.00 ± 1.00"),
        (words.plus_minus(0.5, 0.0, 1), "50.00"),
        (words.byte_count(264), "264 bytes"),
        (words.byte_count(3144), "3 KiB"),
        (words.byte_count(2**20), "1.0 MiB"),
        (words.byte_count(200 * 2**30), "200 GiB"),
        (words.si_number(1.5e12, "FLOP"), "1.5 TFLOP"),
        (words.thousands(1234567), "1 234 567"),
        (words.factor(12345), "12 300"),
        (words.fewer(4.0, "time", "less"), "4.0 times less time"),
        (words.fewer(0.25, "FLOPs", "fewer"), "4.0 times more FLOPs"),
        (words.fewer(1.01, "FLOPs", "fewer"), "as many FLOPs"),
        (words.one_to(0.5), "2.0 : 1"),
        (words.sets_and_networks(2, 3, 6), "2 × 3"),
        (words.sets_and_networks(2, 3, 5), "2 sets, 5 networks"),
        (words.p_text(0.0004), "< 0.001"),
        (words.listed(["a", "b", "c"]), "a, b and c"),
        (words.images_per_class(1), "1 image per class"),
        (words.images_per_class(math.nan), "all images"),
    ],
)
def test_numbers_are_shown_in_few_digits_and_the_unit_that_suits_them(text, shown):
    assert text == shown


def test_every_selection_start_and_strategy_has_its_words():
    assert set(words.SELECTION_TITLES) == set(vocabulary.SELECTIONS)
    assert set(words.INIT_TITLES) == {*vocabulary.INITS, vocabulary.IMPORTED}
    assert set(continual.TITLES) == set(vocabulary.STRATEGIES)


def test_names_and_their_order_are_those_of_the_plug_ins():
    names = ["herding", "new", "mtt", "whole", "random", "dc"]
    ordered = sorted(names, key=words.method_rank)
    assert ordered == ["whole", "dc", "mtt", "new", "herding", "random"]
    assert [words.method_title(name) for name in ordered] == [
        "Full training set",
        "DC",
        "MTT",
        "NEW",
        "Herding",
        "Random",
    ]
    assert sorted(["pets", "CIFAR10", "MNIST"], key=words.dataset_rank) == [
        "MNIST",
        "CIFAR10",
        "pets",
    ]
