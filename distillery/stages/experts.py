"""Train one shard of experts."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch import Tensor

from distillery import streams
from distillery.compute.device import Compute
from distillery.images import dataset as data
from distillery.images.labelled import Images
from distillery.networks import NetworkSpec
from distillery.recipe import Recipe
from distillery.store import checkpoint as checkpoints
from distillery.training import experts
from distillery.training.train import Bench

if TYPE_CHECKING:
    from distillery.study.params import TrainExperts


def train(
    asked: "TrainExperts",
    dataset: data.Dataset,
    *,
    compute: Compute,
    progress: Callable[[int], None] = lambda epochs: None,
    after_epoch: Callable[[int, int, dict[str, Tensor]], None] | None = None,
    checkpoint: Any = checkpoints.NONE,
) -> tuple[Tensor, dict[str, Any]]:
    """Train the experts that are asked for.

    Args:
        asked: their numbers, the recipe, the network, the seed and the share that is held out.
        dataset: the real images, on the device that computes, in the space of the sets.
        compute: how to compute.
        progress: called with the number of epochs since the last call, those of each expert
            counted.
        after_epoch: as ``training.experts.train_experts`` has it.
        checkpoint: where the state is kept between two steps, and resumed from.

    Returns:
        The trajectories (experts, epochs + 1, P) float32 on the CPU, and the header of their file.

    Raises:
        UserError: a training diverges.
    """
    name, recipe = asked.job["dataset"], asked.job["recipe"]
    # Of experts of one step, the step.
    more = [int(asked.job[name]) for name in ("steps", "order", "step") if name in asked.job]
    rows = data.split(dataset, asked.validation, asked.seed).train_index
    bench = Bench(
        network=NetworkSpec(**asked.network),
        stream=functools.partial(streams.generator, asked.seed, "experts", name, recipe, *more),
        compute=compute,
        flip=dataset.horizontal_flip,
        progress=progress,
    )
    trained = experts.train_experts(
        bench,
        Recipe.of(asked.settings | {"decay": "none"}),
        Images(dataset.normalise(dataset.images[rows]), dataset.labels[rows]),
        asked.numbers,
        after_epoch=after_epoch,
        checkpoint=checkpoint,
    )
    header = {
        "dataset": name,
        "recipe": recipe,
        "numbers": asked.numbers,
        "settings": asked.settings,
        "network": asked.network,
        "seed": asked.seed,
        "code": asked.code,
    }
    return trained, header
