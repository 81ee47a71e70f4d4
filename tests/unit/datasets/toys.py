"""Small made-up datasets, and the files that published ones come in."""

import gzip
import pickle
import struct

import numpy as np

from distillery.datasets import _fetch, _formats

COLOUR = {
    "name": "toy",
    "channels": 3,
    "size": 4,
    "classes": ("a", "b"),
    "train": 6,
    "test": 2,
    "smallest_class": 3,
    "mean": (0.5, 0.4, 0.3),
    "std": (0.2, 0.25, 0.5),
    "licence": "none",
    "home": "nowhere",
    "horizontal_flip": True,
    "raw": "nhwc",
    "sha256": {},
}


GREY = {**COLOUR, "channels": 1, "mean": (0.5,), "std": (0.2,), "raw": "idx"}


def toy(spec, seed=0):
    random = np.random.default_rng(seed)
    image = (spec["channels"], spec["size"], spec["size"])
    train = random.integers(0, 256, (spec["train"], *image), dtype=np.uint8)
    test = random.integers(0, 256, (spec["test"], *image), dtype=np.uint8)
    return (
        train,
        np.arange(spec["train"], dtype=np.uint8) % 2,
        test,
        np.arange(spec["test"], dtype=np.uint8) % 2,
    )


def toy_arrays(spec=COLOUR):
    return _fetch._checked(spec, toy(spec), "test")


def same(first, second):
    return all(
        a.dtype == b.dtype and np.array_equal(a, b) for a, b in zip(first, second, strict=True)
    )


def write_idx(folder, raw, packed=False):
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in zip(_formats.IDX_FILES, raw):
        content = _formats.raw_bytes(array, "idx")
        (folder / (name + ".gz" * packed)).write_bytes(
            gzip.compress(content) if packed else content
        )


def python2_batch(images, labels):
    """The bytes of a batch as Python 2 wrote the published ones (protocol 2, byte strings)."""

    def text(value):
        return b"U" + bytes([len(value)]) + value

    def integer(value):
        return b"J" + struct.pack("<i", value)

    pixels = images.tobytes()
    dtype = b"cnumpy\ndtype\n(" + text(b"u1") + integer(0) + integer(1) + b"tR"
    dtype += (
        b"(" + integer(3) + text(b"|") + b"NNN" + integer(-1) + integer(-1) + integer(0) + b"tb"
    )
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n("
        + integer(0)
        + b"t"
        + text(b"b")
        + b"tR("
    )
    array += (
        integer(1) + b"(" + integer(len(images)) + integer(images[0].size) + b"t" + dtype + b"\x89"
    )
    array += b"T" + struct.pack("<i", len(pixels)) + pixels + b"tb"
    numbers = b"](" + b"".join(integer(int(label)) for label in labels) + b"e"
    return b"\x80\x02}(" + text(b"data") + array + text(b"labels") + numbers + b"u."


def python3_batch(images, labels, protocol=2):
    return pickle.dumps(
        {"data": images.reshape(len(images), -1), "labels": labels.tolist()}, protocol=protocol
    )


def write_cifar(folder, raw, batch=python2_batch):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "one").write_bytes(batch(raw[0][:3], raw[1][:3]))
    (folder / "two").write_bytes(batch(raw[0][3:], raw[1][3:]))
    (folder / "test").write_bytes(batch(raw[2], raw[3]))
