"""DM: dataset condensation with distribution matching (Zhao and Bilen, WACV 2023, arXiv 2110.04181,
equation 6 and algorithm 1).

With psi the features before the classifier of a freshly drawn random network, A_w one Siamese
augmentation a class, T_c the real and S_c the synthetic images of class c, the images S descend

    sum over c of || mean of psi(A_w(T_c)) - mean of psi(A_w(S_c)) ||^2.

Nothing is trained and no second derivative is taken. The loop is ``_distribution_matching``'s.
"""

import functools

import torch

from distillery.methods import _distribution_matching, base

TITLE = "DM"
KIND = "distilled"
ORDER = 30
COLOUR = 4
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
        "description": "Real images of a class a step.",
    },
    "augment": {"type": "string", "default": "dsa", "description": "Siamese augmentation."},
}
PROTOCOL = base.AUGMENTED


def distill(task: base.Task) -> base.Result:
    """Distil a set by matching mean features; errors are those of
    ``_distribution_matching.distill``."""

    def make(module: torch.nn.Module) -> _distribution_matching.Matching:
        return _distribution_matching.Matching(
            name="dm",
            feature_network=lambda iteration, drawn: base.fresh_parameters(
                module, drawn("network")
            ),
            summary=lambda features, weights, given: weights @ features,
            loss=lambda features, means, images, given: (features.mean(1) - means).square().sum(1),
        )

    descent = functools.partial(
        torch.optim.SGD, lr=task.settings["lr_images"], momentum=task.settings["momentum"]
    )
    return _distribution_matching.distill(make, descent, task)
