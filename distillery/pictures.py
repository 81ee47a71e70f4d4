"""Pictures of synthetic sets in pixel space."""

import os

import torch
from PIL import Image
from torch import Tensor

from distillery import files

GAP = 2  # pixels between two images
SHOWN = 10  # images a class


def save_grid(path: str | os.PathLike, shown: Tensor, labels: Tensor) -> None:
    """Write a PNG with one row a class (at most ``SHOWN`` images of it), enlarged to about 64 pixels an image; whole or not at all.

    Args:
        shown: (N, C, H, W) uint8, as ``SyntheticSet.pixels`` gives; labels: (N,) int64.
    """
    classes = labels.unique().tolist()
    columns = min(SHOWN, max(int((labels == c).sum()) for c in classes))
    channels, height, width = shown.shape[1:]
    factor = max(1, 64 // height)
    sheet = torch.full((channels, len(classes) * (height * factor + GAP) - GAP, columns * (width * factor + GAP) - GAP), 255, dtype=torch.uint8)
    for row, c in enumerate(classes):
        for column, image in enumerate(shown[labels == c][:columns]):
            top, left = row * (height * factor + GAP), column * (width * factor + GAP)
            large = image.repeat_interleave(factor, 1).repeat_interleave(factor, 2)
            sheet[:, top : top + height * factor, left : left + width * factor] = large
    array = sheet.permute(1, 2, 0).numpy()
    picture = Image.fromarray(array[..., 0] if channels == 1 else array)
    with files.atomic(path) as temporary:
        picture.save(temporary, format="PNG", optimize=True)
