"""The differentiable Siamese augmentation: one of six operations per batch.

Zhao and Bilen, *Dataset Condensation with Differentiable Siamese Augmentation*, ICML 2021, section
3.3. Strengths as in the authors' published settings.
"""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from distillery.augmentations._operations import column, crop, integers, rotate, scale, uniform

STRENGTHS = {
    "brightness": 1.0,
    "saturation": 2.0,
    "contrast": 0.5,
    "crop": 0.125,
    "cutout": 0.5,
    "flip": 0.5,
    "scale": 1.2,
    "rotate": 15.0,
}


def draw(
    n: int, generator: torch.Generator, *, shape: tuple[int, int, int], flip_allowed: bool
) -> tuple[Callable, dict[str, Tensor]]:
    """Draw an operation, all alike, and its strengths, for n images; without ``flip_allowed`` there
    are five operations."""
    names = [name for name in OPERATIONS if name != "flip" or flip_allowed]
    name = names[int(integers(len(names), (), generator))]
    return OPERATIONS[name], _strengths(name, n, generator, shape)


def _strengths(
    operation: str, n: int, generator: torch.Generator, shape: tuple[int, ...]
) -> dict[str, Tensor]:
    if operation == "color":
        return {
            "brightness": uniform(-0.5, 0.5, (n,), generator) * STRENGTHS["brightness"],
            "saturation": uniform(0, STRENGTHS["saturation"], (n,), generator),
            "contrast": uniform(STRENGTHS["contrast"], 1 + STRENGTHS["contrast"], (n,), generator),
        }
    if operation == "crop":
        reach = [int(side * STRENGTHS["crop"] + 0.5) for side in shape[1:]]
        return {
            "shift": torch.stack([integers(r + 1, (n,), generator, start=-r) for r in reach], dim=1)
        }
    if operation == "cutout":
        # An even square has its centre between two pixels, so that one more place keeps its reach
        # symmetric.
        places = [side + 1 - _square(side) % 2 for side in shape[1:]]
        return {"centre": torch.stack([integers(p, (n,), generator) for p in places], dim=1)}
    if operation == "flip":
        return {"mirrored": uniform(0, 1, (n,), generator) < STRENGTHS["flip"]}
    if operation == "scale":
        return {"factor": uniform(1 / STRENGTHS["scale"], STRENGTHS["scale"], (n, 2), generator)}
    limit = math.radians(STRENGTHS["rotate"])
    return {"angle": uniform(-limit, limit, (n,), generator)}


def _square(side: int) -> int:
    """Return the pixels per side of the square that cutout clears."""
    return int(side * STRENGTHS["cutout"] + 0.5)


def color(images: Tensor, draws: Mapping[str, Tensor]) -> Tensor:
    """Change colours: brightness added, saturation about the grey image, contrast about the mean of
    the image, in this order."""
    images = images + column(draws["brightness"], images)
    grey = images.mean(1, keepdim=True)
    images = (images - grey) * column(draws["saturation"], images) + grey
    mean = images.mean((1, 2, 3), keepdim=True)
    return (images - mean) * column(draws["contrast"], images) + mean


def cutout(images: Tensor, draws: Mapping[str, Tensor]) -> Tensor:
    """Set a square of half the image's side to 0; a part of it may lie outside."""
    kept = []
    for axis, side in enumerate(images.shape[2:]):
        start = draws["centre"][:, axis, None] - _square(side) // 2
        place = torch.arange(side, device=images.device)
        kept.append((place < start) | (place >= start + _square(side)))
    mask = kept[0][:, :, None] | kept[1][:, None, :]
    return images * mask[:, None].to(images.dtype)


def flip(images: Tensor, draws: Mapping[str, Tensor]) -> Tensor:
    """Mirror the images that were drawn to be."""
    return torch.where(draws["mirrored"][:, None, None, None], images.flip(3), images)


OPERATIONS = {
    "color": color,
    "crop": crop,
    "cutout": cutout,
    "flip": flip,
    "scale": scale,
    "rotate": rotate,
}
