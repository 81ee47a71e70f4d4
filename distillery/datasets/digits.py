"""digits: 1,797 handwritten digits, 8 by 8, grey (Alpaydin and Kaynak, 1998), as scikit-learn's
wheel carries them."""

from pathlib import Path
from typing import Any

import numpy as np

from distillery.datasets._formats import Raw

TITLE = "Digits"
ORDER = 10
SPEC = {
    "name": "digits",
    "channels": 1,
    "size": 8,
    "classes": ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9"),
    "train": 1442,
    "test": 355,
    "smallest_class": 140,
    # Of the training pixels.
    "mean": (0.3052,),
    "std": (0.3760,),
    "licence": "CC BY 4.0",
    "home": "https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits",
    "horizontal_flip": False,
    "raw": "nhwc",
    "sha256": {
        "train_images": "503377f9cfaca149d5f4766a565f241ffa34779a6052ed8f96ddd783e9ed34eb",
        "train_labels": "a2e9b5aad772889452f916b3583eb978fb46384ff7116fda4a634c7c4caa4586",
        "test_images": "747b8e40cc4d21a26c27e6681d6b5641b1d1c96162f713457890ca5ee65f561d",
        "test_labels": "ae868ceb6e5b065cfdba65e639e01c0dbb262d32bea34ba86eab9eb6eddd8d59",
    },
}
FILES = ()


def _embedded(folder: Path) -> Raw:
    """Map grey levels 0 to 16 to 0 to 255, and take every fifth image of a class for testing: no
    random numbers."""
    from sklearn.datasets import load_digits

    bunch: Any = load_digits()
    levels, labels = bunch.images.astype(np.int64), bunch.target.astype(np.uint8)
    images = ((levels * 255 + 8) // 16).astype(np.uint8)[:, None]
    test = np.zeros(len(labels), dtype=bool)
    for number in range(len(SPEC["classes"])):
        test[np.flatnonzero(labels == number)[4::5]] = True
    return images[~test], labels[~test], images[test], labels[test]


SOURCES = {"embedded": _embedded}
