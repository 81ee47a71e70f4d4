"""Nothing."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor


def draw(
    n: int, generator: torch.Generator, *, shape: tuple[int, int, int], flip_allowed: bool
) -> tuple[Callable, dict[str, Tensor]]:
    """Draw nothing."""
    return none, {}


def none(images: Tensor, draws: Mapping[str, Tensor]) -> Tensor:
    """Return the images as they are."""
    return images
