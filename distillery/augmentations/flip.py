"""Mirror half of the images, where a mirrored image keeps its class.

The evaluation of *On the Diversity and Realism of Distilled Dataset* (Sun, Shi, Yu and Lin, CVPR
2024) for images of up to 64 pixels, whose random crops are all of the image.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from distillery.augmentations._operations import uniform


def draw(
    n: int, generator: torch.Generator, *, shape: tuple[int, int, int], flip_allowed: bool
) -> tuple[Callable, dict[str, Tensor]]:
    """Draw which of ``n`` images are mirrored: none without ``flip_allowed``."""
    drawn = uniform(0, 1, (n,), generator) < 0.5
    return flip, {"mirrored": drawn & flip_allowed}


def flip(images: Tensor, draws: Mapping[str, Tensor]) -> Tensor:
    """Mirror the images that were drawn."""
    return torch.where(draws["mirrored"][:, None, None, None], images.flip(3), images)
