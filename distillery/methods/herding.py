"""Herding: real images whose mean feature follows the class's (Welling, ICML 2009; used on classes
as in iCaRL, Rebuffi et al., CVPR 2017).

For a class with features f₁ … f_n and mean μ, image t + 1 is the one not yet chosen that minimises
‖μ − (f_chosen₁ + … + f_chosen_t + f) / (t + 1)‖. The features are the pixels, or the embeddings of
several networks side by side (their squared distances add up). The literature's figures use a
network trained on the full training set, ``features: expert``; random networks cost nothing, and
are a little less.
"""

import torch
from torch import Tensor

from distillery.methods import _coreset, base

TITLE = "Herding"
KIND = "coreset"
CITATION = {
    "authors": "Welling, Max",
    "title": "Herding Dynamical Weights to Learn",
    "venue": "ICML",
    "year": 2009,
}
ORDER = 10
COLOUR = 5
NEEDS_EMBEDDING = _coreset.NEEDS_EMBEDDING
NEEDS_EXPERTS = _coreset.NEEDS_EXPERTS
SETTINGS = _coreset.FEATURES


def select(task: base.Task) -> Tensor:
    """Choose ``ipc`` training images of each class by herding, in the order chosen; errors are
    those of ``_coreset.select_by_features``."""
    return _coreset.select_by_features(task, herd)


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


expected_work = _coreset.expected_work
