"""Read images that are each a file of its own."""

import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from distillery.datasets._decode import decode
from distillery.datasets._listing import Listing


def reader(
    where: str, found: Listing, settings: Mapping[str, Any], size: tuple[int, int], channels: int
) -> Callable[[int], np.ndarray]:
    """Return what reads the image of a number in the listing: (C, H, W) uint8.

    Args:
        where: the dataset's place in the config.
        found: the listing of files.
        settings: of the dataset, as ``decode`` takes them.
        size: height and width of what is returned.
        channels: of what is returned.
    """

    def read(row: int) -> np.ndarray:
        return decode(os.path.join(found.root, found.watched[row]), settings, size, channels)

    return read
