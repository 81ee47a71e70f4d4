"""Crop, scale or rotate, drawn for each image.

The evaluation of *Dataset Condensation with Gradient Matching* (Zhao, Mopuri and Bilen, ICLR 2021)
on MNIST. Here on whole batches, with bilinear interpolation, shifts from -4 to 4 and real angles.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from distillery.augmentations import _mixed

STRENGTHS = {"crop": 4, "scale": 0.2, "rotate": 45.0}


def draw(
    n: int, generator: torch.Generator, *, shape: tuple[int, int, int], flip_allowed: bool
) -> tuple[Callable, dict[str, Tensor]]:
    """Draw a crop, a scale or a rotation for each of ``n`` images."""
    return _mixed.mixed, _mixed.draw(n, generator, shape, STRENGTHS)
