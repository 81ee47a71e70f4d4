"""One operation per image, of those that an augmentation has strengths for."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from distillery.augmentations._operations import affine, crop, integers, matrix, uniform


def draw(
    n: int, generator: torch.Generator, shape: tuple[int, ...], strength: Mapping[str, Any]
) -> dict[str, Tensor]:
    """Draw one operation per image: the draws of those not chosen are the identity's, so that all
    can be applied to all."""
    choice = integers(len(strength), (n,), generator)
    draws = {}
    for index, (name, size) in enumerate(strength.items()):
        chosen = choice == index
        if name == "crop":
            draws["shift"] = integers(size + 1, (n, 2), generator, start=-size) * chosen[:, None]
        elif name == "scale":
            draws["factor"] = torch.where(
                chosen[:, None], 1 / uniform(1 - size, 1 + size, (n, 2), generator), 1.0
            )
        elif name == "rotate":
            limit = math.radians(size)
            draws["angle"] = uniform(-limit, limit, (n,), generator) * chosen
        elif name == "noise":
            noise = torch.randn((n, *shape), generator=generator, device=generator.device)
            draws["noise"] = noise * (size * chosen[:, None, None, None])
    return draws


def mixed(images: Tensor, draws: Mapping[str, Tensor]) -> Tensor:
    if "factor" in draws or "angle" in draws:
        factor, angle = draws.get("factor"), draws.get("angle")
        changed = affine(images, matrix(images, factor=factor, angle=angle))
        # Interpolating at the pixels themselves returns them up to rounding only: what was not
        # chosen stays as it is.
        chosen = torch.zeros((), dtype=torch.bool, device=images.device)
        chosen = chosen if factor is None else chosen | (factor != 1).any(1)
        chosen = chosen if angle is None else chosen | (angle != 0)
        images = torch.where(chosen[:, None, None, None], changed, images)
    if "shift" in draws:
        images = crop(images, draws)
    if "noise" in draws:
        images = images + draws["noise"].to(images.dtype)
    return images
