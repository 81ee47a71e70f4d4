"""DM: dataset condensation with distribution matching (Zhao and Bilen, WACV 2023, arXiv 2110.04181,
equation 6 and algorithm 1).

With psi the features before the classifier of a freshly drawn random network, A_w one Siamese
augmentation per class, T_c the real and S_c the synthetic images of class c, the images S descend

    sum over c of || mean of psi(A_w(T_c)) - mean of psi(A_w(S_c)) ||^2.

Nothing is trained and no second derivative is taken. The loop is ``_distribution_matching``'s.
"""

import functools
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from distillery.methods import _distribution_matching, _representative, base
from distillery.methods._distribution_matching import Parameters, Stream

TITLE = "DM"
KIND = "distilled"
CITATION = {
    "authors": "Zhao, Bo and Bilen, Hakan",
    "title": "Dataset Condensation with Distribution Matching",
    "venue": "WACV",
    "year": 2023,
    "arxiv": "2110.04181",
}
ORDER = 30
FACTORED = True
COLOUR = 4
NEEDS_EMBEDDING = True
SETTINGS = {
    "iterations": {
        "type": "integer",
        "minimum": 1,
        "default": 20000,
        "description": "Iterations, each with a fresh random network.",
    },
    "lr_images": {
        "type": "number",
        "exclusiveMinimum": 0,
        "default": 1.0,
        "description": "Learning rate of the images.",
    },
    "momentum": {
        "type": "number",
        "minimum": 0,
        "exclusiveMaximum": 1,
        "default": 0.5,
        "description": "Momentum of the image steps.",
    },
    "batch_real": {
        "type": "integer",
        "minimum": 1,
        "default": 256,
        "description": "Real images per class and step.",
    },
    "augment": {"type": "string", "default": "dsa", "description": "Siamese augmentation."},
    **_representative.SETTINGS,
}
PROTOCOL = base.AUGMENTED


class MeanMatching(_distribution_matching.DistributionMatching):
    """Matches mean features; errors are those of ``_distribution_matching``."""

    def __init__(self, task: base.Task) -> None:
        rate, momentum = task.settings["lr_images"], task.settings["momentum"]
        super().__init__(task, functools.partial(torch.optim.SGD, lr=rate, momentum=momentum))

    def network(self, t: int, drawn: Stream) -> Parameters:
        """Draw a fresh random network."""
        return base.fresh_parameters(self.module, drawn("network"))

    def summary(self, features: Tensor, weights: Tensor, given: Mapping[str, Any]) -> Tensor:
        """Return the mean feature of a class, (D,)."""
        return weights @ features

    def loss(
        self, features: Tensor, statistics: Tensor, images: Tensor, given: Mapping[str, Any]
    ) -> Tensor:
        """Return the squared distance of the mean features of each class, (K,)."""
        return (features.mean(1) - statistics).square().sum(1)


build = MeanMatching


expected_work = _distribution_matching.expected_work
