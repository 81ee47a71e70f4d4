"""Draw synthetic sets in pixel space."""

import os

import torch
from PIL import Image
from torch import Tensor

from distillery.errors import UserError
from distillery.store import files

GAP = 2  # pixels between two images
SHOWN = 10  # images per class


def picture(pixels: Tensor) -> Image.Image:
    """Turn an image (C, H, W) uint8, C 1 (grey) or 3 (colour), into one of Pillow's.

    Raises:
        UserError: it has another number of channels.
    """
    if len(pixels) not in (1, 3):
        raise UserError(f"a picture has 1 channel (grey) or 3 (colour), not {len(pixels)}")
    array = pixels.permute(1, 2, 0).contiguous().numpy()
    return Image.fromarray(array[..., 0] if len(pixels) == 1 else array)


def save_grid(path: str | os.PathLike, pixels: Tensor, labels: Tensor) -> None:
    """Write a PNG with one row per class (at most ``SHOWN`` images of it), each image enlarged to
    about 64 pixels, atomically.

    Args:
        path: of the file.
        pixels: (N, C, H, W) uint8, as ``SyntheticSet.pixels`` gives them.
        labels: (N,) int64.

    Raises:
        UserError: the images have neither 1 channel nor 3.
    """
    classes = labels.unique().tolist()
    columns = min(SHOWN, max(int((labels == c).sum()) for c in classes))
    channels, height, width = pixels.shape[1:]
    factor = max(1, 64 // height)
    sheet = torch.full(
        (
            channels,
            len(classes) * (height * factor + GAP) - GAP,
            columns * (width * factor + GAP) - GAP,
        ),
        255,
        dtype=torch.uint8,
    )
    for row, c in enumerate(classes):
        for column, image in enumerate(pixels[labels == c][:columns]):
            top, left = row * (height * factor + GAP), column * (width * factor + GAP)
            large = image.repeat_interleave(factor, 1).repeat_interleave(factor, 2)
            sheet[:, top : top + height * factor, left : left + width * factor] = large
    grid = picture(sheet)
    with files.atomic(path) as temporary:
        grid.save(temporary, format="PNG", optimize=True)
