"""Read images out of arrays, as uint8 numbers of one shape."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from PIL import Image

from distillery.datasets._arrays import Array
from distillery.datasets._decode import scaled, shaped
from distillery.datasets._listing import Listing
from distillery.errors import UserError

# Images that are looked through at once for their lowest and highest value.
_AT_ONCE = 256
_LUMA = np.array([0.299, 0.587, 0.114])  # of ITU-R 601, as files are read


def reader(
    where: str, found: Listing, settings: Mapping[str, Any], size: tuple[int, int], channels: int
) -> Callable[[int], np.ndarray]:
    """Return what reads the image of a number in the listing: (C, H, W) uint8.

    Args:
        where: the dataset's place in the config.
        found: the listing of arrays.
        settings: of the dataset: ``range``, ``fit``, ``resize``, ``background``.
        size: height and width of what is returned.
        channels: of what is returned.

    Raises:
        UserError: the values are not what ``range``, or what goes without saying, has black and
            white be.
    """
    opened = {part: _opened(held) for part, held in found.arrays.items()}
    limits = _limits(where, opened, settings.get("range"))
    layout = found.about["layout"]

    def read(row: int) -> np.ndarray:
        part, _, number = found.files[row].partition("/")
        image = opened[part][int(number)]
        if layout == "nhw":
            image = image[None]
        elif layout == "nhwc":
            image = np.moveaxis(image, 2, 0)
        image = image if limits is None else scaled(image, limits)
        if len(image) != channels:
            image = _recoloured(image)
        if image.shape[1:] != size:
            # One by one: of four channels nobody says that one is alpha.
            each = (Image.fromarray(np.ascontiguousarray(channel)) for channel in image)
            image = np.concatenate([shaped(channel, settings, size) for channel in each])
        return image

    return read


def _opened(held: Array) -> np.ndarray:
    """Map an array into memory; one that is compressed is read."""
    if held.offset is None:
        with np.load(held.path, allow_pickle=False) as archive:
            return archive[held.member.removesuffix(".npy")]
    order = "F" if held.fortran else "C"
    dtype = np.dtype(held.dtype)
    return np.memmap(held.path, dtype, "r", held.offset, held.shape, order)


def _limits(
    where: str, opened: Mapping[str, np.ndarray], given: list[float] | None
) -> list[float] | None:
    """Return the values that become black and white; ``None`` where the images are as they shall
    be."""
    dtype = next(iter(opened.values())).dtype
    if given is not None:
        return given
    if dtype == np.uint8:
        return None
    if dtype == np.bool_:
        return [0, 1]
    if dtype == np.uint16:
        return [0, 65535]
    low, high = _extremes(opened)
    most = 1 if dtype.kind == "f" else 255
    if not (low >= 0 and high <= most):
        raise UserError(
            f"{where}.range: the images are {dtype} from {low:.6g} to {high:.6g}, and without "
            f"`range: [low, high]` 0 is black and {most} white"
        )
    return [0, most]


def _extremes(opened: Mapping[str, np.ndarray]) -> tuple[float, float]:
    low, high = np.inf, -np.inf
    for images in opened.values():
        for first in range(0, len(images), _AT_ONCE):
            several = images[first : first + _AT_ONCE]
            least, most = float(several.min()), float(several.max())
            if not (np.isfinite(least) and np.isfinite(most)):
                return least, most
            low, high = min(low, least), max(high, most)
    return low, high


def _recoloured(image: np.ndarray) -> np.ndarray:
    """Make three equal channels of one, or the luma of three."""
    if len(image) == 1:
        return np.repeat(image, 3, 0)
    return np.rint(np.tensordot(_LUMA, image, 1))[None].astype(np.uint8)
