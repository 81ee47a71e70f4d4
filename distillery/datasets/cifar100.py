"""CIFAR-100: 60,000 small photographs of 100 classes, 32 by 32, colour (Krizhevsky, 2009), with the
fine labels."""

from pathlib import Path

from distillery.datasets._archives import in_folder_or_tar
from distillery.datasets._formats import Raw, read_cifar
from distillery.datasets._transports import mirror_cifar

TITLE = "CIFAR-100"
ORDER = 60
# fmt: off
SPEC = {
    "name": "CIFAR100",
    "channels": 3,
    "size": 32,
    "classes": (
        "apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle",
        "bottle", "bowl", "boy", "bridge", "bus", "butterfly", "camel", "can", "castle",
        "caterpillar", "cattle", "chair", "chimpanzee", "clock", "cloud", "cockroach", "couch",
        "crab", "crocodile", "cup", "dinosaur", "dolphin", "elephant", "flatfish", "forest", "fox",
        "girl", "hamster", "house", "kangaroo", "keyboard", "lamp", "lawn_mower", "leopard", "lion",
        "lizard", "lobster", "man", "maple_tree", "motorcycle", "mountain", "mouse", "mushroom",
        "oak_tree", "orange", "orchid", "otter", "palm_tree", "pear", "pickup_truck", "pine_tree",
        "plain", "plate", "poppy", "porcupine", "possum", "rabbit", "raccoon", "ray", "road",
        "rocket", "rose", "sea", "seal", "shark", "shrew", "skunk", "skyscraper", "snail", "snake",
        "spider", "squirrel", "streetcar", "sunflower", "sweet_pepper", "table", "tank",
        "telephone", "television", "tiger", "tractor", "train", "trout", "tulip", "turtle",
        "wardrobe", "whale", "willow_tree", "wolf", "woman", "worm",
    ),
    "train": 50000,
    "test": 10000,
    "smallest_class": 500,
    "mean": (0.5071, 0.4866, 0.4409),
    "std": (0.2673, 0.2564, 0.2762),
    "licence": "none stated by its authors",
    "home": "https://www.cs.toronto.edu/~kriz/cifar.html",
    "horizontal_flip": True,
    "raw": "nhwc",
    "sha256": {},
    # Of the files, as torchvision publishes them; no digest of the pixels is known to us.
    "md5": {
        "train": "16019d7e3df5f24257cddd939b257f8d",
        "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
    },
}
# fmt: on
FOLDER, ARCHIVE = "cifar-100-python", "cifar-100-python.tar.gz"
TRAIN, TEST = ("train",), ("test",)
FILES = tuple(f"{FOLDER}/{name}" for name in TRAIN + TEST)


def _local(folder: Path) -> Raw:
    return read_cifar(
        in_folder_or_tar(folder, FOLDER, ARCHIVE, TRAIN + TEST),
        SPEC,
        TRAIN,
        TEST,
        "fine_labels",
    )


def _torchvision(folder: Path) -> Raw:
    mirror_cifar("CIFAR100", folder)
    return _local(folder)


SOURCES = {"local": _local, "torchvision": _torchvision}
