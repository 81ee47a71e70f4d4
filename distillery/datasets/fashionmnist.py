"""Fashion-MNIST: 70,000 pictures of clothes, 28 by 28, grey (Xiao, Rasul and Vollgraf, 2017)."""

from pathlib import Path

from distillery.datasets._archives import in_deb, in_folder
from distillery.datasets._formats import IDX_FILES, Raw, read_idx
from distillery.datasets._transports import apt_download, mirror_idx

TITLE = "Fashion-MNIST"
ORDER = 30
SPEC = {
    "name": "FashionMNIST",
    "channels": 1,
    "size": 28,
    "classes": (
        "T-shirt/top",
        "trouser",
        "pullover",
        "dress",
        "coat",
        "sandal",
        "shirt",
        "sneaker",
        "bag",
        "ankle boot",
    ),
    "train": 60000,
    "test": 10000,
    "smallest_class": 6000,
    "mean": (0.2861,),
    "std": (0.3530,),
    "licence": "MIT",
    "home": "https://github.com/zalandoresearch/fashion-mnist",
    "horizontal_flip": True,
    "raw": "idx",
    "sha256": {
        "train_images": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "train_labels": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "test_images": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "test_labels": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    },
}
FILES = tuple(f"FashionMNIST/raw/{name}" for name in IDX_FILES)


def _local(folder: Path) -> Raw:
    return read_idx(in_folder(folder / "FashionMNIST" / "raw"), SPEC)


def _torchvision(folder: Path) -> Raw:
    mirror_idx("FashionMNIST", folder / "FashionMNIST" / "raw")
    return _local(folder)


def _registry(folder: Path) -> Raw:
    package = apt_download("dataset-fashion-mnist", folder)
    names = [f"{name}.gz" for name in IDX_FILES]
    return read_idx(in_deb(package, "usr/share/datasets/fashion-mnist", names), SPEC)


SOURCES = {"local": _local, "torchvision": _torchvision, "registry": _registry}
