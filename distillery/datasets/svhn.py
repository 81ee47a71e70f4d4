"""SVHN: house numbers cropped to 32 by 32, colour (Netzer and others, 2011), without the extra
split."""

from pathlib import Path

from distillery.datasets._archives import in_folder
from distillery.datasets._formats import Raw, read_svhn
from distillery.datasets._transports import mirror_svhn

ORDER = 40
SPEC = {
    "name": "SVHN",
    "channels": 3,
    "size": 32,
    "classes": ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9"),
    "train": 73257,
    "test": 26032,
    "smallest_class": 4659,
    "mean": (0.4377, 0.4438, 0.4728),
    "std": (0.1980, 0.2010, 0.1970),
    "licence": "for non-commercial use only",
    "home": "http://ufldl.stanford.edu/housenumbers/",
    "horizontal_flip": False,
    "raw": "nhwc",
    "sha256": {},
    # Of the files, as torchvision publishes them; no digest of the pixels is known to us.
    "md5": {
        "train_32x32.mat": "e26dedcc434d2e4c54c9b2d4a06d8373",
        "test_32x32.mat": "eb5a983be6a315427106f1b164d9cef3",
    },
}
FILES = ("train_32x32.mat", "test_32x32.mat")


def _local(folder: Path) -> Raw:
    return read_svhn(in_folder(folder), SPEC, *FILES)


def _torchvision(folder: Path) -> Raw:
    mirror_svhn(folder)
    return _local(folder)


SOURCES = {"local": _local, "torchvision": _torchvision}
