"""Herding: real images whose mean feature follows the class's (Welling, ICML 2009; used on classes
as in iCaRL, Rebuffi et al., CVPR 2017).

For a class with features f₁ … f_n and mean μ, image t + 1 is the one not yet chosen that minimises
‖μ − (f_chosen₁ + … + f_chosen_t + f) / (t + 1)‖. The features are the pixels, or the embeddings of
several randomly initialised networks side by side (their squared distances add up). The
literature's figures use a network trained on the full training set, which costs more than
everything else here: expect a little less of this one.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from distillery import networks
from distillery.methods import base

TITLE = "Herding"
KIND = "coreset"
ORDER = 10
COLOUR = 5
NEEDS_EMBEDDING = {"features": ["random_network"]}
SETTINGS = {
    "features": {
        "type": "string",
        "enum": ["random_network", "pixels"],
        "default": "random_network",
        "description": "What images are compared by: embeddings of random networks, or pixels.",
    },
    "networks": {
        "type": "integer",
        "minimum": 1,
        "default": 2,
        "description": "Random networks to embed with.",
    },
}

_BATCH = 256


def select(task: base.Task) -> Tensor:
    """Choose ``ipc`` training images of each class by herding, in the order chosen.
    ``stream("network", n)`` draws random network n.

    Raises:
        UserError: a class has fewer than ``ipc`` images, or the network has batch normalisation.
    """
    images, settings = task.images, task.settings
    index = base.ClassIndex(task.labels, task.classes)
    base.enough(index, task.ipc)
    embeddings = []
    if settings["features"] == "random_network":
        module = base.network(task.network, task.device)
        embed = networks.functional_embed(module)
        drawn = [
            base.fresh_parameters(module, task.stream("network", n))
            for n in range(settings["networks"])
        ]
        embeddings = [lambda x, params=params: embed(params, x) for params in drawn]
    chosen = []
    for members in index.members:
        # One class at a time: the features of a whole dataset would not fit a small machine.
        features = (
            _features(images, members, embeddings) if embeddings else images[members].flatten(1)
        )
        chosen.append(members[herd(features, task.ipc)])
    return torch.cat(chosen)


def herd(features: Tensor, number: int) -> Tensor:
    """Return the greedy herding order: (number,) int64 of ``features`` (n, D), without replacement;
    the first of equals wins."""
    mean = features.mean(0)
    squares = features.square().sum(1)
    residual = torch.zeros_like(mean)
    free = torch.ones(len(features), dtype=torch.bool, device=features.device)
    order = []
    for _ in range(number):
        # With r = (t + 1) μ − Σ chosen, ‖r − f‖² is least where 2 ⟨f, r⟩ − ‖f‖² is greatest.
        residual = residual + mean
        score = torch.where(free, 2 * (features @ residual) - squares, -torch.inf)
        best = score.argmax()
        order.append(best)
        free[best] = False
        residual = residual - features[best]
    return torch.stack(order)


@torch.no_grad()
def _features(
    images: Tensor, members: Tensor, embeddings: list[Callable[[Tensor], Tensor]]
) -> Tensor:
    """Return the features (n, D) of the images numbered ``members``, the embeddings side by
    side."""
    parts = [
        torch.cat([embed(images[part]) for embed in embeddings], dim=1)
        for part in members.split(_BATCH)
    ]
    return torch.cat(parts)
