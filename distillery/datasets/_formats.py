"""How each published format is decoded, and written where digests are taken of it."""

import hashlib
import io
import json
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from distillery.datasets._archives import MEMBER_BYTES, Read
from distillery.datasets._unpickle import unpickle
from distillery.errors import UserError

Raw = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Training images (N, C, H, W) uint8, training labels (N,) uint8, test images, test labels."""


IDX_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def raw_bytes(array: np.ndarray, layout: str) -> bytes:
    """Write what the digests are taken of.

    Args:
        array: images (N, C, H, W) or labels (N,), uint8.
        layout: ``idx``: the IDX file, its header included; ``nhwc``: the bytes alone, colours last.
    """
    if layout == "idx":
        shape = (len(array), *array.shape[2:])  # grey: there is no axis of colours
        return struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape) + array.tobytes()
    return (array.transpose(0, 2, 3, 1) if array.ndim == 4 else array).tobytes()


def read_idx(read: Read, spec: dict[str, Any]) -> Raw:
    """Read the four IDX files of MNIST and its kin: big-endian header (0, 0, type 8, dimensions,
    sizes), then uint8.

    Raises:
        UserError: a header or a length is not what ``spec`` says.
    """
    size, parts = spec["size"], []
    for name, shape in zip(
        IDX_FILES,
        (
            (spec["train"], size, size),
            (spec["train"],),
            (spec["test"], size, size),
            (spec["test"],),
        ),
    ):
        header = struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape)
        needed = len(header) + int(np.prod(shape))
        content = read(name, needed)
        if content[: len(header)] != header:
            raise UserError(
                f"{name}: begins with {content[: len(header)].hex()}; IDX of uint8 {shape} begins "
                f"with {header.hex()}"
            )
        if len(content) != needed:
            raise UserError(
                f"{name}: has {len(content)} bytes where {needed} are needed: it is cut short"
            )
        array = np.frombuffer(content, np.uint8, offset=len(header)).reshape(shape)
        parts.append(array[:, None] if array.ndim == 3 else array)
    return tuple(parts)


def read_cifar(
    read: Read, spec: dict[str, Any], train: Sequence[str], test: Sequence[str], key: str
) -> Raw:
    """Read the pickled batches of CIFAR: dictionaries of ``data``, uint8 (N, 3072), colours first,
    and labels under ``key``.

    Raises:
        UserError: a file is not the published one (where ``spec`` has its MD5), or not such a
            dictionary.
    """
    pixels = spec["channels"] * spec["size"] ** 2
    parts = []
    for names, count in ((train, spec["train"] // len(train)), (test, spec["test"] // len(test))):
        images, labels = [], []
        for name in names:
            content = read(name, MEMBER_BYTES)
            _check_md5(content, name, spec)
            batch = unpickle(content, name)
            if not isinstance(batch, dict):
                raise UserError(f"{name}: holds a {type(batch).__name__}; a dictionary is needed")
            data = batch.get("data")
            if not isinstance(data, np.ndarray) or data.shape != (count, pixels):
                given = (
                    f"uint8 {data.shape}" if isinstance(data, np.ndarray) else type(data).__name__
                )
                raise UserError(f"{name}: `data` is {given}; uint8 {(count, pixels)} is needed")
            images.append(data.reshape(count, spec["channels"], spec["size"], spec["size"]))
            labels.append(_labels(batch.get(key), count, spec, f"{name}: `{key}`"))
        parts += [np.concatenate(images), np.concatenate(labels)]
    return tuple(parts)


def read_png_rows(
    read: Read,
    spec: dict[str, Any],
    train: Sequence[str],
    test: Sequence[str],
    labels: tuple[str, str],
) -> Raw:
    """Read PNGs that hold one image per row, its pixels row by row, and JSON lists of labels.

    Args:
        read: gives the bytes of a file by its name.
        spec: the dataset's ``SPEC``.
        train: the files of training images.
        test: the files of test images.
        labels: the files of the training and the test labels.

    Raises:
        UserError: a file is not an RGB PNG or a list of labels of the size that ``spec`` says.
    """
    parts = []
    totals = (spec["train"], spec["test"])
    for names, list_, total in zip((train, test), labels, totals, strict=True):
        images = np.concatenate(
            [
                _png(read(name, MEMBER_BYTES), name, total // len(names), spec["size"])
                for name in names
            ]
        )
        try:
            values = json.loads(read(list_, 1 << 24))
        except (ValueError, RecursionError) as error:
            raise UserError(f"{list_}: is not JSON ({error})") from error
        parts += [images, _labels(values, total, spec, list_)]
    return tuple(parts)


def read_svhn(read: Read, spec: dict[str, Any], train: str, test: str) -> Raw:
    """Read MATLAB files with ``X``, uint8 (H, W, C, N), and ``y``, (N, 1) in 1 to 10, where 10 is
    the digit 0.

    Only a file whose MD5 ``spec`` names is decoded: SciPy's reader can be crashed by a damaged one
        (1.17: a segmentation fault).

    Raises:
        UserError: a file is not the published one, or holds other arrays.
    """
    import scipy.io

    parts = []
    for name, count in ((train, spec["train"]), (test, spec["test"])):
        content = read(name, MEMBER_BYTES)
        if name not in spec["md5"]:
            raise UserError(
                f"{name}: no MD5 of it is published, and only a published file is decoded"
            )
        _check_md5(content, name, spec)
        try:
            arrays = scipy.io.loadmat(io.BytesIO(content), variable_names=("X", "y"))
        # The reader raises whatever a malformed file makes it stumble over.
        except Exception as error:
            raise UserError(f"{name}: is not a MATLAB file ({error})") from error
        images, labels = arrays.get("X"), arrays.get("y")
        shape = (spec["size"], spec["size"], spec["channels"], count)
        if images is None or images.dtype != np.uint8 or images.shape != shape:
            raise UserError(f"{name}: `X` is {_kind(images)}; uint8 {shape} is needed")
        if (
            labels is None
            or labels.shape != (count, 1)
            or labels.dtype.kind not in "uif"
            or labels.min() < 1
            or labels.max() > 10
        ):
            raise UserError(f"{name}: `y` is {_kind(labels)}; {(count, 1)} of 1 to 10 is needed")
        parts += [
            np.ascontiguousarray(images.transpose(3, 2, 0, 1)),
            (labels[:, 0] % 10).astype(np.uint8),
        ]
    return tuple(parts)


def _kind(array: np.ndarray | None) -> str:
    return "missing" if array is None else f"{array.dtype} {array.shape}"


def _labels(values: Any, count: int, spec: dict[str, Any], label: str) -> np.ndarray:
    """Check a list of ``count`` classes; give it as (N,) uint8."""
    if not isinstance(values, list) or len(values) != count:
        given = f"{len(values)} entries" if isinstance(values, list) else type(values).__name__
        raise UserError(f"{label}: is {given}; a list of {count} labels is needed")
    if not all(type(value) is int and 0 <= value < len(spec["classes"]) for value in values):
        raise UserError(
            f"{label}: holds what is no label; whole numbers of 0 to {len(spec['classes']) - 1} "
            "are needed"
        )
    return np.array(values, dtype=np.uint8)


def _check_md5(content: bytes, name: str, spec: dict[str, Any]) -> None:
    expected = spec.get("md5", {}).get(name)
    actual = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if expected is not None and actual != expected:
        raise UserError(
            f"{name}: its MD5 is {actual}, published is {expected}: it is not the published file, "
            "or is cut short"
        )


def _png(content: bytes, name: str, rows: int, size: int) -> np.ndarray:
    """Decode a PNG with ``rows`` rows to (N, 3, size, size) uint8. The size is compared before
    pixels are unpacked."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
            if image.size != (size * size, rows) or image.mode != "RGB":
                raise UserError(
                    f"{name}: is {image.mode} of {image.size} pixels; RGB of {(size * size, rows)} "
                    "is needed"
                )
            pixels = np.asarray(image)
    except (
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        zlib.error,
        Image.DecompressionBombError,
    ) as error:
        raise UserError(f"{name}: is not a PNG, or is cut short ({error})") from error
    return np.ascontiguousarray(pixels.reshape(rows, size, size, 3).transpose(0, 3, 1, 2))
