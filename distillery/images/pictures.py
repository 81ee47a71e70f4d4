"""Draw synthetic sets in pixel space."""

import os

import torch
from PIL import Image
from torch import Tensor

from distillery.errors import UserError
from distillery.store import files

GAP = 2  # pixels between two images
SHOWN = 10  # images per class
CLASSES = 100  # shown in one picture


# Pillow's modes by the number of channels. Two and four are held without loss as grey and colour
# with an alpha band, whatever they stand for.
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


def picture(pixels: Tensor) -> Image.Image:
    """Turn an image (C, H, W) uint8, C 1 to 4, into one of Pillow's that holds each channel.

    Raises:
        UserError: it has another number of channels.
    """
    if len(pixels) not in MODES:
        raise UserError(f"a picture has 1 to 4 channels, not {len(pixels)}")
    bands = [Image.fromarray(band.contiguous().numpy()) for band in pixels]
    return Image.merge(MODES[len(pixels)], bands)


def visible(pixels: Tensor) -> Tensor:
    """Return of images (..., C, H, W), C 1 to 4, what a reader can be shown: grey (..., 1, H, W) or
    colour (..., 3, H, W). Two channels are shown as red and green, of four the first three.

    Raises:
        UserError: they have another number of channels.
    """
    if pixels.shape[-3] not in MODES:
        raise UserError(f"a picture has 1 to 4 channels, not {pixels.shape[-3]}")
    if pixels.shape[-3] == 2:
        return torch.cat([pixels, torch.zeros_like(pixels[..., :1, :, :])], -3)
    return pixels[..., :3, :, :]


def save_grid(path: str | os.PathLike[str], pixels: Tensor, labels: Tensor) -> None:
    """Write a PNG with one row per class (the first ``CLASSES``, at most ``SHOWN`` images of each),
    each image enlarged to about 64 pixels, atomically.

    Args:
        path: of the file.
        pixels: (N, C, H, W) uint8, as ``SyntheticSet.pixels`` gives them; :func:`visible` says what
            is shown of two and four channels.
        labels: (N,) int64.

    Raises:
        UserError: the images have more than 4 channels.
    """
    pixels = visible(pixels)
    classes = labels.unique().tolist()[:CLASSES]
    columns = min(SHOWN, max(int((labels == c).sum()) for c in classes))
    channels, height, width = pixels.shape[1:]
    factor = max(1, 64 // max(height, width))
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
