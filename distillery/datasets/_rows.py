"""Read images out of the rows of Parquet files."""

import functools
import os
import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from distillery.datasets._decode import decode
from distillery.datasets._hub import open_file
from distillery.datasets._listing import Listing

# Groups of rows that are kept at once: threads read neighbouring rows.
KEPT = 16


def reader(
    where: str, found: Listing, settings: Mapping[str, Any], size: tuple[int, int], channels: int
) -> Callable[[int], np.ndarray]:
    """Return what reads the image of a number in the listing: (C, H, W) uint8.

    Args:
        where: the dataset's place in the config.
        found: the listing of rows.
        settings: of the dataset, as ``decode`` takes them.
        size: height and width of what is returned.
        channels: of what is returned.

    Raises:
        UserError: a file cannot be opened.
    """
    picture = pictures(where, found)

    def read(row: int) -> np.ndarray:
        return decode(picture(row), settings, size, channels)

    return read


def pictures(where: str, found: Listing) -> Callable[[int], bytes | str]:
    """Return what reads the picture of a number in the listing: the bytes of its file, or the path
    of one."""
    opened = {file: open_file(where, os.path.join(found.root, file)) for file in found.watched}
    ends = {file: _ends(each) for file, each in opened.items()}
    lock = threading.Lock()
    column = found.about["image"]

    @functools.lru_cache(maxsize=KEPT)
    def group(file: str, number: int) -> list[Any]:
        return opened[file].read_row_group(number, columns=[column]).column(column).to_pylist()

    def read(row: int) -> bytes | str:
        file, _, text = found.files[row].rpartition(":")
        place = int(text)
        number = next(index for index, end in enumerate(ends[file]) if place < end)
        with lock:
            picture = group(file, number)[place - (ends[file][number - 1] if number else 0)]
        if isinstance(picture, dict):
            content = picture.get("bytes")
            if content is None and picture.get("path"):
                return os.path.join(found.root, os.path.dirname(file), picture["path"])
            picture = content
        return picture if isinstance(picture, bytes) else b""

    return read


def _ends(opened: Any) -> list[int]:
    """Return the number of the row after each group of rows."""
    ends, total = [], 0
    for number in range(opened.num_row_groups):
        total += opened.metadata.row_group(number).num_rows
        ends.append(total)
    return ends
