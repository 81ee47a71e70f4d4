"""Measure what one synthetic set is worth to one kind of network."""

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from distillery import streams
from distillery.compute.device import Compute
from distillery.evaluation import evaluate
from distillery.images.labelled import Images
from distillery.networks import NetworkSpec
from distillery.recipe import Recipe
from distillery.sets.synthetic import SyntheticSet
from distillery.store.metrics import Metrics
from distillery.training.train import Bench

if TYPE_CHECKING:
    from distillery.study.params import EvaluateSynthetic


def bench(
    asked: "EvaluateSynthetic", *, compute: Compute, flip: bool, progress: Callable[[int], None]
) -> Bench:
    """Return what the networks are trained with.

    The same streams for every method: two sets are compared on the same networks in the same order.

    Args:
        asked: the cell, the network and the seed.
        compute: how to compute.
        flip: whether an augmentation may mirror images.
        progress: called with the number of epochs since the last call, those of each network
            counted.
    """
    cell, network = asked.cell, asked.network
    names = cell["dataset"], network["name"], cell["ipc"], cell["seed"]
    return Bench(
        network=NetworkSpec(**network),
        stream=functools.partial(streams.generator, asked.seed, "evaluate", *names),
        compute=compute,
        flip=flip,
        progress=progress,
    )


def evaluate_set(
    asked: "EvaluateSynthetic",
    bench: Bench,
    synthetic: SyntheticSet,
    splits: Mapping[str, Images],
) -> Metrics:
    """Train and test networks on a set.

    Args:
        asked: the settings.
        bench: what the networks are trained with.
        synthetic: the set.
        splits: the ``test`` images, and perhaps those held out for ``validation``, in the space of
            the set, on the device that computes.

    Raises:
        UserError: there is no test image.
    """
    settings = asked.settings
    learned = Images(synthetic.images, synthetic.labels).to(splits["test"].device)
    recipe = Recipe.of(settings, synthetic.step_size)
    return evaluate.measure(bench, recipe, learned, splits, settings["models"], settings["curve"])
