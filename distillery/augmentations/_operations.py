"""What several augmentations share: draws from a generator, and operations as pure functions of
images and draws."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional


def uniform(low: float, high: float, size: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.rand(size, generator=generator, device=generator.device) * (high - low) + low


def integers(
    stop: int, size: tuple[int, ...], generator: torch.Generator, start: int = 0
) -> Tensor:
    return torch.randint(start, stop, size, generator=generator, device=generator.device)


def column(value: Tensor, images: Tensor) -> Tensor:
    """Reshape (n,) to (n, 1, 1, 1), in the images' dtype."""
    return value.to(images.dtype)[:, None, None, None]


def crop(images: Tensor, draws: Mapping[str, Tensor]) -> Tensor:
    """Move: pixel (i, j) becomes pixel (i + shift of rows, j + shift of columns), or 0 where that
    is outside."""
    n, channels, height, width = images.shape
    shift = draws["shift"].expand(n, 2)
    rows = torch.arange(height, device=images.device) + shift[:, :1]
    columns = torch.arange(width, device=images.device) + shift[:, 1:]
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[
        :, None, :
    ]
    source = rows.clamp(0, height - 1)[:, :, None] * width + columns.clamp(0, width - 1)[:, None, :]
    source = source.reshape(n, 1, height * width).expand(n, channels, height * width)
    moved = (
        images.reshape(n, channels, height * width)
        .gather(2, source)
        .view(n, channels, height, width)
    )
    return moved * inside[:, None].to(images.dtype)


def scale(images: Tensor, draws: Mapping[str, Tensor]) -> Tensor:
    return affine(images, matrix(images, factor=draws["factor"]))


def rotate(images: Tensor, draws: Mapping[str, Tensor]) -> Tensor:
    return affine(images, matrix(images, angle=draws["angle"]))


def matrix(images: Tensor, factor: Tensor | None = None, angle: Tensor | None = None) -> Tensor:
    """Return (n, 2, 2): where each pixel's colour comes from, in (x, y) of -1 to 1 about the
    centre."""
    matrix = torch.eye(2, dtype=images.dtype, device=images.device)
    if angle is not None:
        angle = angle.to(images.dtype)
        cosine, sine = angle.cos(), angle.sin()
        matrix = torch.stack(
            [torch.stack([cosine, -sine], -1), torch.stack([sine, cosine], -1)], -2
        )
    if factor is not None:
        matrix = matrix * factor.to(images.dtype)[:, None, :]
    height, width = images.shape[2:]
    if height != width:
        # In -1 to 1 a rectangle's sides are of one length: a rotation there would shear it.
        aspect = max(height - 1, 1) / max(width - 1, 1)
        matrix = matrix * matrix.new_tensor([[1, aspect], [1 / aspect, 1]])
    return matrix


def affine(images: Tensor, matrix: Tensor) -> Tensor:
    """Sample bilinearly at ``matrix`` (n, 2, 2) times each pixel's place, 0 outside.

    ``align_corners=True``: -1 and 1 are the centres of the outermost pixels, as in the
    trajectory-matching authors' code (Cazenavette et al., CVPR 2022). The older gradient-matching
    code leaves it to the torch version, which changed its mind.
    """
    height, width = images.shape[2:]
    x = torch.linspace(-1, 1, width, dtype=images.dtype, device=images.device).expand(height, width)
    y = torch.linspace(-1, 1, height, dtype=images.dtype, device=images.device)[:, None].expand(
        height, width
    )
    places = torch.stack([x, y], -1).view(1, height * width, 2)
    grid = (places @ matrix.mT).view(-1, height, width, 2).expand(images.shape[0], height, width, 2)
    return functional.grid_sample(
        images, grid, mode="bilinear", padding_mode="zeros", align_corners=True
    )
