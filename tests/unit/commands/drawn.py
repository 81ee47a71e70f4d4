"""A folder of drawn pictures."""

from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("red", "green", "blue")


def draw(folder: Path, each: int = 10) -> Path:
    """Draw pictures of three classes, each a square of its colour on a dim ground."""
    generator = np.random.default_rng(0)
    for channel, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True)
        for number in range(each):
            pixels = generator.integers(0, 100, (18, 24, 3), dtype=np.uint8)
            pixels[4:12, 6:14, channel] = 255
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder
