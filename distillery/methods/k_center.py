"""k-center: real images that no image of the class is far from (Sener and Savarese, *Active
Learning for Convolutional Neural Networks: A Core-Set Approach*, ICLR 2018, arXiv 1708.00489,
algorithm 1).

The largest distance of an image of the class to the nearest chosen one is made small greedily,
farthest first: at most twice the least possible (Gonzalez 1985). The first is the image nearest to
the class's mean, so that nothing is drawn.
"""

import torch
from torch import Tensor

from distillery.methods import _coreset, base

TITLE = "k-center"
KIND = "coreset"
CITATION = {
    "authors": "Sener, Ozan and Savarese, Silvio",
    "title": "Active Learning for Convolutional Neural Networks: A Core-Set Approach",
    "venue": "ICLR",
    "year": 2018,
    "arxiv": "1708.00489",
}
ORDER = 12
NEEDS_EMBEDDING = _coreset.NEEDS_EMBEDDING
NEEDS_EXPERTS = _coreset.NEEDS_EXPERTS
SETTINGS = _coreset.FEATURES


def select(task: base.Task) -> Tensor:
    """Choose ``ipc`` training images of each class, farthest first; errors are those of
    ``_coreset.select_by_features``."""
    return _coreset.select_by_features(task, farthest_first)


def farthest_first(features: Tensor, number: int) -> Tensor:
    """Return the greedy order: (number,) int64 of ``features`` (n, D), without replacement; the
    first of equals wins."""
    order = [(features - features.mean(0)).square().sum(1).argmin()]
    distance = (features - features[order[0]]).square().sum(1)
    distance[order[0]] = -1
    for _ in range(number - 1):
        best = distance.argmax()
        order.append(best)
        distance = distance.minimum((features - features[best]).square().sum(1))
        # Below every distance: equal images are chosen one after another, none twice.
        distance[torch.stack(order)] = -1
    return torch.stack(order)


expected_work = _coreset.expected_work
