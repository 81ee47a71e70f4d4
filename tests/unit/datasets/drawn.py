"""Images that the tests draw and write as a user has them."""

from pathlib import Path

import numpy as np
from PIL import Image

from distillery.datasets._listing import settings_of
from distillery.study.own_images import KINDS

SETTINGS = {"kind": "folder", "path": "there", "size": 8}


def pixels(number=0, height=8, width=8, channels=3):
    """Different pixels for each number: (height, width, channels) uint8, or (height, width)."""
    image = np.random.default_rng(number).integers(0, 256, (height, width, channels))
    return (image[..., 0] if channels == 1 else image).astype(np.uint8)


def write(path, array=None, **options):
    """Write an array, or some image, as the file's ending says."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    array = pixels(hash(path.as_posix()) % 2**32) if array is None else array
    Image.fromarray(array).save(path, **options)
    return array


def folder(root, counts, ending="png", **shape):
    """Write images of classes: `{"cat": 3}` or, with parts, `{"train/cat": 3, "test/cat": 1}`."""
    number = 0
    for name, count in counts.items():
        (Path(root) / name).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            write(Path(root) / name / f"{index}.{ending}", pixels(number, **shape))
            number += 1
    return Path(root)


def block(**changes):
    """A dataset's block in a config, with a value for each key."""
    given = {key: value for key, value in (SETTINGS | changes).items() if value is not None}
    return KINDS[given["kind"]].model_validate(given).model_dump(exclude_none=True)


def settings(**changes):
    """What of a block decides the images."""
    return settings_of(block(**changes))
