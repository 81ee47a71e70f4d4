"""Crop or a little noise, drawn for each image.

The evaluation of *Dataset Condensation with Gradient Matching* (Zhao, Mopuri and Bilen, ICLR 2021)
for networks with batch normalisation.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from distillery.augmentations import _mixed

STRENGTHS = {"crop": 4, "noise": 0.001}


def draw(
    n: int, generator: torch.Generator, *, shape: tuple[int, int, int], flip_allowed: bool
) -> tuple[Callable, dict[str, Tensor]]:
    """Draw a crop or a little noise for each of ``n`` images."""
    return _mixed.mixed, _mixed.draw(n, generator, shape, STRENGTHS)
