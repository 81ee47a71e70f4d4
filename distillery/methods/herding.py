"""Herding: real images whose mean feature follows the class's (Welling, ICML 2009; used on classes as in iCaRL,
Rebuffi et al., CVPR 2017).

For a class with features f₁ … f_n and mean μ, image t + 1 is the one not yet chosen that minimises ‖μ − (f_chosen₁ +
… + f_chosen_t + f) / (t + 1)‖. The features are the pixels, or the embeddings of several randomly initialised
networks side by side (their squared distances add up). The literature's figures use a network trained on the whole
dataset, which costs more than everything else here: expect a little less of this one.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from distillery import checkpoint as checkpoints
from distillery import networks
from distillery.device import Compute
from distillery.methods import base

TITLE = "Herding"
KIND = "coreset"
NEEDS_EXPERTS = False
PROTOCOL = base.PROTOCOL
SETTINGS = {
    "features": {
        "type": "string",
        "enum": ["random_network", "pixels"],
        "default": "random_network",
        "description": "What images are compared by: embeddings of random networks, or pixels.",
    },
    "networks": {"type": "integer", "minimum": 1, "default": 2, "description": "Random networks to embed with."},
}

_BATCH = 256


def distill(
    images: Tensor,
    labels: Tensor,
    initial: Tensor,
    *,
    classes: int,
    ipc: int,
    network: dict[str, Any],
    augment_allowed_flip: bool,
    settings: dict[str, Any],
    stream: Callable[..., torch.Generator],
    recorder,
    compute: Compute,
    experts=None,
    checkpoint=checkpoints.NONE,
) -> base.Result:
    """Choose ``ipc`` training images of each class by herding, in the order chosen; ``initial`` is not used.

    Args:
        images: (N, C, H, W) float32, normalised; labels: (N,) int64. The other arguments are those of every method.
        stream: ``stream("network", n)`` gives the generator (CPU) of random network n.
        recorder: told of the chosen images once, as iteration 0.

    Raises:
        UserError: a class has fewer than ``ipc`` images, or the network has batch normalisation.
    """
    index = base.ClassIndex(labels, classes)
    base.enough(index, ipc)
    embeddings = []
    if settings["features"] == "random_network":
        module = base.network(network, images.device)
        embed = networks.functional_embed(module)
        members = [base.fresh_parameters(module, stream("network", n)) for n in range(settings["networks"])]
        embeddings = [lambda x, params=params: embed(params, x) for params in members]
    chosen = []
    for members in index.members:
        # One class at a time: the features of a whole dataset would not fit a small machine.
        features = _features(images, members, embeddings) if embeddings else images[members].flatten(1)
        chosen.append(members[herd(features, ipc)])
    picked = images[torch.cat(chosen)]
    recorder.iteration(0, loss=torch.tensor(float("nan")), images=picked)
    return base.Result(picked, base.synthetic_labels(classes, ipc, images.device))


def herd(features: Tensor, number: int) -> Tensor:
    """The greedy herding order: (number,) int64 of ``features`` (n, D), without replacement; the first of equals
    wins."""
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
def _features(images: Tensor, members: Tensor, embeddings: list[Callable[[Tensor], Tensor]]) -> Tensor:
    """(n, D) of the images numbered ``members``, the embeddings side by side."""
    parts = [torch.cat([embed(images[part]) for embed in embeddings], dim=1) for part in members.split(_BATCH)]
    return torch.cat(parts)
