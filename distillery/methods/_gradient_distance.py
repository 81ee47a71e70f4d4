"""Gradient matching: the distance between two gradients, and the derivative of that distance in the
synthetic images.

Zhao, Mopuri and Bilen, *Dataset Condensation with Gradient Matching*, ICLR 2021 (arXiv 2006.05929),
section 3.3 and equation 10. Everything here is a pure function of tensors: it may be
differentiated, ``vmap``ped and compiled.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional

from distillery import networks

Gradient = Mapping[str, Tensor]
Apply = Callable[[Mapping[str, Tensor], Tensor], Tensor]

EPSILON = 1e-6


def rows(tensor: Tensor) -> Tensor:
    """View a parameter (out, ...) as one row per output channel or unit: (out, everything else)."""
    return tensor.reshape(tensor.shape[0], -1)


def distance(first: Gradient, second: Gradient) -> Tensor:
    """Return the layer-wise distance of two gradients, a scalar in the dtype of the gradients.

    For each tensor of two or more dimensions, each output row (an output channel with all that
    feeds it, or an output unit) adds ``1 - <a, b> / (|a| |b| + 1e-6)``. Tensors of one dimension
    (biases, scales and shifts) add nothing. The terms are summed, not averaged.

    Args:
        first: name to gradient.
        second: the same names and shapes.
    """
    terms = []
    for name, one in first.items():
        if one.ndim < 2:
            continue
        a, b = rows(one), rows(second[name])
        inner = (a * b).sum(-1)
        norms = _norm(a) * _norm(b)
        terms.append((1 - inner / (norms + EPSILON)).sum())
    return torch.stack(terms).sum()


def _norm(a: Tensor) -> Tensor:
    # The derivative of a norm at exactly zero is NaN; a dead unit (a row of zeros) must give zero
    # instead.
    squared = (a * a).sum(-1)
    dead = squared == 0
    return torch.where(dead, 0.0, torch.where(dead, 1.0, squared).sqrt())


def class_gradient(
    apply: Apply, low: torch.dtype | None = None
) -> Callable[[Gradient, Tensor, Tensor, Tensor], dict[str, Tensor]]:
    """Return the gradient of the weighted cross-entropy in the parameters, first order and without
    a graph.

    Args:
        apply: ``apply(params, images) -> logits``.
        low: convolutions and matrix products are computed in this dtype (``torch.autocast``); the
            loss stays float32.

    Returns:
        ``gradient(params, images (B, C, H, W), labels (B,) int64, weights (B,) float32)``, a dict
        like ``params`` in the parameters' own dtype. Weights of 1/B give the mean; a weight of 0
        takes an image out without changing a shape.
    """
    answer = networks.cast(apply, low)

    def loss(params: Gradient, images: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
        return (
            functional.cross_entropy(answer(params, images), labels, reduction="none") * weights
        ).sum()

    return torch.func.grad(loss)


def image_gradient(
    apply: Apply,
) -> Callable[[Gradient, Tensor, Tensor, Gradient], tuple[Tensor, Tensor]]:
    """Return the derivative of the distances in the synthetic images, for several classes in one
    function (``vmap`` over classes).

    Args:
        apply: ``apply(params, images) -> logits``.

    Returns:
        ``f(params, images (K, I, C, H, W), labels (K, I) int64, real)`` with ``real`` a dict of (K,
        ...) gradients, one per class. It returns (K, I, C, H, W), the derivative of each class's
        distance (equally, of their sum) in its images, and the distances (K,).
    """

    def one(images: Tensor, labels: Tensor, params: Gradient, real: Gradient) -> Tensor:
        def loss(inner: Gradient) -> Tensor:
            return functional.cross_entropy(apply(inner, images), labels)

        return distance(torch.func.grad(loss)(params), real)

    vectorised = torch.func.vmap(torch.func.grad_and_value(one), in_dims=(0, 0, None, 0))

    def f(
        params: Gradient, images: Tensor, labels: Tensor, real: Gradient
    ) -> tuple[Tensor, Tensor]:
        return vectorised(images, labels, params, real)

    return f
