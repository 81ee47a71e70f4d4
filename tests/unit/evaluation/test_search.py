"""Ranks of networks by a set and by the full training set."""

import functools
import math

import pytest
import torch

from distillery import streams
from distillery.compute.device import Compute
from distillery.evaluation import search
from distillery.images.labelled import Images
from distillery.recipe import Recipe
from distillery.training.train import Bench


def vector(*values):
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize(
    ("x", "y", "rho", "tau"),
    [
        ((1, 2, 3, 4), (10, 20, 30, 40), 1, 1),
        ((1, 2, 3, 4), (4, 3, 2, 1), -1, -1),
        # One neighbouring pair of four is exchanged: 1 - 6 * 2 / 60, and (5 - 1) / 6.
        ((1, 2, 3, 4), (1, 3, 2, 4), 0.8, 2 / 3),
    ],
)
def test_correlations_of_known_ranks(x, y, rho, tau):
    assert search.spearman(vector(*x), vector(*y)) == pytest.approx(rho)
    assert search.kendall(vector(*x), vector(*y)) == pytest.approx(tau)


def test_correlations_with_equal_values_are_those_of_scipy():
    from scipy import stats  # a second to import

    drawn = torch.Generator().manual_seed(0)
    for levels in (3, 10, 1000):
        x, y = torch.randint(levels, (2, 40), generator=drawn).double()
        y = x + 2 * y
        assert search.spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic)
        assert search.kendall(x, y) == pytest.approx(stats.kendalltau(x, y).statistic)


def test_a_list_of_equal_values_has_no_correlation():
    for function in (search.spearman, search.kendall):
        assert math.isnan(function(vector(1, 1, 1), vector(1, 2, 3)))


def test_regret_is_what_the_pick_lacks_of_the_best():
    by_full = vector(0.9, 0.7, 0.5)
    assert search.regret(vector(0.3, 0.2, 0.1), by_full) == 0
    assert search.regret(vector(0.1, 0.2, 0.3), by_full) == pytest.approx(0.4)
    assert search.regret(vector(0.1, 0.3, 0.3), by_full) == pytest.approx(0.9 - 0.6)


def facts(by_set, by_full):
    found = search.ranking(by_set, by_full, torch.Generator().manual_seed(0))
    return {row["measure"]: row["value"] for row in found.rows}


def test_a_perfect_rank_has_no_width():
    values = {str(number): number / 30 for number in range(30)}
    found = facts(values, {each: value**2 for each, value in values.items()})
    assert found["search_networks"] == 30
    for measure in ("search_spearman", "search_kendall"):
        assert [found[f"{measure}{end}"] for end in ("", "_low", "_high")] == pytest.approx([1] * 3)
    assert [found[f"search_regret{end}"] for end in ("", "_low", "_high")] == [0, 0, 0]


def test_an_unrelated_rank_has_an_interval_around_zero():
    drawn = torch.Generator().manual_seed(1)
    x, y = torch.rand(2, 60, generator=drawn).tolist()
    found = facts(dict(zip(map(str, range(60)), x)), dict(zip(map(str, range(60)), y)))
    for measure in ("search_spearman", "search_kendall"):
        assert found[f"{measure}_low"] < 0 < found[f"{measure}_high"]
        assert found[f"{measure}_low"] < found[measure] < found[f"{measure}_high"]


def test_networks_without_differences_have_a_regret_and_no_correlation():
    found = facts(dict.fromkeys("abc", 0.1), {"a": 0.9, "b": 0.6, "c": 0.3})
    assert "search_spearman" not in found and "search_kendall" not in found
    assert found["search_regret"] == pytest.approx(0.3)


def test_only_networks_of_both_are_compared():
    assert facts({"a": 1, "b": 2, "c": 3, "d": 4}, {"a": 1, "b": 2, "c": 3})["search_networks"] == 3


def test_a_network_is_called_by_what_differs():
    network = {"name": "ConvNet", "channels": 1, "size": 8, "classes": 3}
    grid = [
        {"width": width, "depth": 1, "norm": norm, "activation": "relu", "pooling": "avg"}
        for width in (4, 8)
        for norm in ("none", "instance")
    ]
    specs = search.specs(network, grid)
    assert list(specs) == [
        "norm=none width=4",
        "norm=instance width=4",
        "norm=none width=8",
        "norm=instance width=8",
    ]
    assert [spec.options for spec in specs.values()] == grid


def test_a_budget_is_the_first_images_of_each_class():
    labels = torch.tensor([1, 0, 1, 1, 0, 2])
    assert search.budgeted(labels, 2).tolist() == [0, 1, 2, 4, 5]
    assert search.budgeted(labels, 0).tolist() == list(range(6))


NETWORK = {"name": "ConvNet", "channels": 1, "size": 8, "classes": 3}
GRID = [
    {"width": width, "depth": 1, "norm": "none", "activation": activation, "pooling": "max"}
    for width in (2, 4)
    for activation in ("relu", "silu")
]


def trained():
    drawn = torch.Generator().manual_seed(3)
    images = torch.randn(12, 1, 8, 8, generator=drawn)
    labelled = Images(images, torch.arange(12) % 3)
    specs = search.specs(NETWORK, GRID)
    bench = Bench(
        network=next(iter(specs.values())),
        stream=functools.partial(streams.generator, 0),
        compute=Compute("float32", "off"),
    )
    recipe, splits = Recipe(epochs=3, lr=0.1), {"test": labelled, "validation": labelled[:6]}
    return search.train(bench, specs, recipe, labelled, splits, 2).rows


@pytest.mark.slow
def test_every_network_is_tested_on_every_split():
    rows = trained()
    names = list(search.specs(NETWORK, GRID))
    accuracies = [row for row in rows if row["measure"] == search.ACCURACY]
    assert {(row["network"], row["split"], row["model"]) for row in accuracies} == {
        (name, split, model)
        for name in names
        for split in ("test", "validation")
        for model in (0, 1)
    }
    flops = {row["network"]: row["value"] for row in rows if row["measure"] == search.FLOPS}
    assert list(flops) == names
    # Three passes of two operations, 3 epochs of 12 images: the convolution and the linear layer.
    assert flops[names[0]] == 6 * 36 * (8 * 8 * 9 * 2 + 3 * 16 * 2)
    found = search.means(rows, "test")
    first = [
        row["value"] for row in accuracies if (row["network"], row["split"]) == (names[0], "test")
    ]
    assert found[names[0]] == pytest.approx(sum(first) / 2)
