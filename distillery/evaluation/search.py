"""A search among architectures: networks ranked by what they reach after training on a small set,
against what they reach on the full training set.

The use that sets were first made for (Zhao, Mopuri and Bilen, arXiv 2006.05929, section 4.2): there
720 ConvNets are ranked by the accuracy after training on a set, and the rank is compared with that
by the full training set. Here a network's place by a set is its accuracy on the images that are
held out for validation, and its worth the test accuracy on the full training set, so that nothing
is chosen by test images.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from distillery import networks
from distillery.evaluation import evaluate
from distillery.images.labelled import Images
from distillery.networks import NetworkSpec
from distillery.recipe import Recipe
from distillery.store.metrics import Metrics
from distillery.training.train import Bench

ACCURACY, FLOPS = "search_accuracy", "search_flops"
_RESAMPLES = 1000


def name(options: Mapping[str, Any]) -> str:
    """Return what a network of the grid is called: ``depth=2 norm=none width=32``."""
    return " ".join(f"{option}={value}" for option, value in sorted(options.items()))


def specs(network: Mapping[str, Any], grid: Sequence[Mapping[str, Any]]) -> dict[str, NetworkSpec]:
    """Return the networks of a grid by name, each option that any two differ in said in it.

    Args:
        network: the arguments of a ``NetworkSpec``.
        grid: the options of each.
    """
    varied = [key for key in grid[0] if len({str(options[key]) for options in grid}) > 1]
    return {
        name({key: options[key] for key in varied}): NetworkSpec(**{**network, "options": options})
        for options in grid
    }


def budgeted(labels: Tensor, per_class: int) -> Tensor:
    """Find the rows (n,) int64 of the first ``per_class`` images of each class; all for 0."""
    if not per_class:
        return torch.arange(len(labels), device=labels.device)
    places = [(labels == c).nonzero().flatten()[:per_class] for c in labels.unique()]
    return torch.cat(places).sort().values


def train(
    bench: Bench,
    specs: Mapping[str, NetworkSpec],
    recipe: Recipe,
    learned: Images,
    splits: Mapping[str, Images],
    models: int,
) -> Metrics:
    """Train every network of a grid on the same images: ``search_accuracy`` of each after its last
    epoch, on each split, and ``search_flops``, the operations of one training.

    Args:
        bench: what they are trained with; its network does not matter.
        specs: the networks by name.
        recipe: how they are trained.
        learned: what they learn from, on the device that computes.
        splits: what is tested on: ``test``, and perhaps ``validation``.
        models: how many of each.

    Raises:
        UserError: there is no test image.
    """
    found = Metrics()
    for each, spec in specs.items():
        measured = evaluate.measure(replace(bench, network=spec), recipe, learned, splits, models)
        for row in measured.rows:
            if row["measure"] == "accuracy":
                model, split = row["model"], row["split"]
                found.add(ACCURACY, row["value"], network=each, model=model, split=split)
        flops = networks.training_flops(networks.macs(spec), len(learned) * recipe.trained_epochs)
        found.add(FLOPS, flops, network=each)
    return found


def means(rows: Sequence[Mapping[str, Any]], split: str) -> dict[str, float]:
    """Return the mean accuracy of each network on a split, of rows as :func:`train` gives them."""
    values: dict[str, list[float]] = {}
    for row in rows:
        if row["measure"] == ACCURACY and row["split"] == split:
            values.setdefault(row["network"], []).append(float(row["value"]))
    return {each: sum(part) / len(part) for each, part in values.items()}


# ---- ranks ---------------------------------------------------------------------------------------


def ranking(
    by_set: Mapping[str, float], by_full: Mapping[str, float], generator: torch.Generator
) -> Metrics:
    """Compare the ranks of networks by a set with those by the full training set.

    ``search_spearman`` and ``search_kendall`` (tau-b), the correlations; ``search_regret``, the
    accuracy on the full training set of the best network minus that of the one that the set picks
    (of several alike their mean); each with ``_low`` and ``_high``, the 95 % interval over networks
    (percentile bootstrap of 1000 resamples); and ``search_networks``, how many there are. A
    correlation that has no value, because all are alike, has no row.

    Args:
        by_set: accuracy of each network on validation images, after training on the set.
        by_full: of each its test accuracy, after training on the full training set.
        generator: on the CPU.
    """
    names = [each for each in by_set if each in by_full]
    x, y = (
        torch.tensor([values[each] for each in names], dtype=torch.float64)
        for values in (by_set, by_full)
    )
    found = Metrics()
    found.add("search_networks", len(names))
    measures: dict[str, Callable[[Tensor, Tensor], float]] = {
        "search_spearman": spearman,
        "search_kendall": kendall,
        "search_regret": regret,
    }
    drawn = list(_resamples(len(names), generator))
    for measure, function in measures.items():
        value = function(x, y)
        if math.isnan(value):
            continue
        found.add(measure, value)
        again = torch.tensor([function(x[index], y[index]) for index in drawn], dtype=torch.float64)
        again = again[~again.isnan()]
        for end, share in (("low", 0.025), ("high", 0.975)):
            if len(again):
                found.add(f"{measure}_{end}", float(again.quantile(share)))
    return found


def _resamples(count: int, generator: torch.Generator) -> Iterator[Tensor]:
    for _ in range(_RESAMPLES):
        yield torch.randint(count, (count,), generator=generator)


def _signs(values: Tensor) -> Tensor:
    """Return which of each two values is greater, (n, n): 1, 0 or -1."""
    return (values[:, None] - values[None, :]).sign()


def spearman(x: Tensor, y: Tensor) -> float:
    """Return Spearman's rank correlation of two lists (n,) float64: Pearson's of their ranks, the
    mean rank for equal values; NaN where all of one are equal."""
    # A value's rank, but for a constant: how many are smaller, minus how many are greater.
    first, second = (_signs(values).sum(1) for values in (x, y))
    scale = (first.square().sum() * second.square().sum()).sqrt()
    return float((first * second).sum() / scale)


def kendall(x: Tensor, y: Tensor) -> float:
    """Return Kendall's tau-b of two lists (n,) float64; NaN where all of one are equal."""
    first, second = _signs(x), _signs(y)
    scale = (first.square().sum() * second.square().sum()).sqrt()
    return float((first * second).sum() / scale)


def regret(by_set: Tensor, by_full: Tensor) -> float:
    """Return how much worse the network that is picked by (n,) ``by_set`` is than the best, by (n,)
    ``by_full``; of several alike their mean."""
    picked = by_full[by_set == by_set.max()].mean()
    return float(by_full.max() - picked)
