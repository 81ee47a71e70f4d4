"""What users hand over, as tensors: arrays, tensors, lists of pictures or a torch dataset."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
import torch
from torch import Tensor

from distillery.errors import UserError, first_line

CHANNELS = range(1, 5)
LAYOUTS = ("NHWC", "NCHW")
# Pixels that are counted at a time, which bounds the memory of the counts.
_BLOCK = 4096


@dataclass(frozen=True, eq=False)
class Given:
    """Labelled images as they were handed over.

    Attributes:
        images: (N, C, H, W) uint8, on the CPU.
        labels: (N,) int64.
        classes: the names of the classes, in the order of the labels.
    """

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]

    @property
    def size(self) -> int | tuple[int, int]:
        """Pixels a side of a square, height and width of a rectangle."""
        height, width = self.images.shape[2:]
        return height if height == width else (height, width)

    @property
    def smallest_class(self) -> int:
        """How many images the smallest class has."""
        return int(torch.bincount(self.labels, minlength=len(self.classes)).min())


def read(
    images: Any,
    labels: Any = None,
    *,
    classes: Sequence[str] | None = None,
    layout: str | None = None,
) -> Given:
    """Read labelled images.

    Args:
        images: an array or a tensor (N, H, W), (N, H, W, C) or (N, C, H, W), uint8 or floats in
            [0, 1]; a list of pictures or arrays of one shape; or, without ``labels``, a torch
            dataset of (image, label) pairs.
        labels: (N,) whole numbers from 0, or texts.
        classes: the names of the classes; where labels are texts, their order.
        layout: ``NHWC`` or ``NCHW``, where the shape leaves it open.

    Raises:
        UserError: they are no labelled images.
    """
    if layout is not None and layout not in LAYOUTS:
        raise UserError(f"layout: must be {' or '.join(LAYOUTS)}, not {layout!r}")
    if isinstance(images, str | PathLike):
        raise UserError(
            f"images: {images} is a path; read it first, or distil it by the command `distillery "
            "distil`"
        )
    if labels is None:
        classes = classes if classes is not None else getattr(images, "classes", None)
        images, labels = _pairs(images)
    if layout is None and isinstance(images, list | tuple) and images and _is_picture(images[0]):
        layout = "NHWC"
    pixels = _channels_first(_bytes(_array(images)), layout)
    numbers, names = _labels(labels, classes)
    if len(numbers) != len(pixels):
        raise UserError(f"labels: there are {len(numbers)} for {len(pixels)} images")
    return Given(pixels, numbers, names)


def _pairs(dataset: Any) -> tuple[list[Any], list[Any]]:
    """Return the images and the labels of a torch dataset."""
    if isinstance(dataset, np.ndarray | Tensor) or not (
        hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")
    ):
        raise UserError(
            "labels: are missing; give the label of each image, or a torch dataset of (image, "
            "label) pairs"
        )
    images, labels = [], []
    for number in range(len(dataset)):
        pair = dataset[number]
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise UserError(f"images: item {number} of the dataset is no (image, label) pair")
        images.append(pair[0])
        labels.append(pair[1].item() if isinstance(pair[1], Tensor) else pair[1])
    return images, labels


def _array(images: Any) -> np.ndarray:
    """Return images as one array, whatever they are in."""
    if isinstance(images, Tensor):
        return images.detach().cpu().numpy()
    if isinstance(images, np.ndarray) and images.dtype != object:
        return images
    try:
        parts = [
            image.detach().cpu().numpy() if isinstance(image, Tensor) else _picture(image)
            for image in images
        ]
    except (TypeError, ValueError) as error:
        raise UserError(f"images: cannot be read as arrays: {first_line(error)}") from None
    shapes = {(part.shape, part.dtype) for part in parts}
    if len(shapes) > 1:
        few = " and ".join(f"{dtype} {shape}" for shape, dtype in sorted(shapes, key=str)[:2])
        raise UserError(f"images: must all be of one shape and type, not {few}; resize them first")
    if not parts:
        raise UserError("images: there is none")
    return np.stack(parts)


def _is_picture(image: Any) -> bool:
    """Return whether an image is one of PIL, whose arrays have their channels last."""
    return isinstance(getattr(image, "mode", None), str)


def _picture(image: Any) -> np.ndarray:
    """Return a PIL picture, whose palette is looked up, or anything array-like as an array."""
    if _is_picture(image) and image.mode in ("P", "1"):
        image = image.convert("RGB" if image.mode == "P" else "L")
    return np.asarray(image)


def _bytes(array: np.ndarray) -> Tensor:
    """Return pixels as uint8, floats in [0, 1] rounded to the nearest of its levels."""
    if array.ndim not in (3, 4) or 0 in array.shape:
        raise UserError(
            f"images: are of shape {array.shape}; (N, H, W), (N, H, W, C) or (N, C, H, W) is needed"
        )
    if array.dtype == np.uint8:
        return torch.from_numpy(np.require(array, requirements=["C", "W"]))
    if array.dtype.kind != "f":
        raise UserError(f"images: are {array.dtype}; uint8, or floats in [0, 1], is needed")
    low, high = float(array.min()), float(array.max())
    if not (math.isfinite(low) and math.isfinite(high) and low >= 0 and high <= 1):
        raise UserError(
            f"images: floats must be in [0, 1], not {low:.4g} to {high:.4g}; undo a normalisation, "
            "and divide levels up to 255 by 255"
        )
    return torch.from_numpy(np.rint(array * 255).astype(np.uint8))


def _channels_first(images: Tensor, layout: str | None) -> Tensor:
    """Return images as (N, C, H, W), contiguous."""
    if images.ndim == 3:
        return images[:, None].contiguous()
    first, last = images.shape[1] in CHANNELS, images.shape[3] in CHANNELS
    if layout is None:
        if first and last:
            raise UserError(
                f"images: shape {tuple(images.shape)} may have its channels first or last; give "
                "layout='NHWC' or 'NCHW'"
            )
        layout = "NCHW" if first else "NHWC"
    if not (first if layout == "NCHW" else last):
        raise UserError(
            f"images: shape {tuple(images.shape)} has no 1 to 4 channels"
            f" {'first' if layout == 'NCHW' else 'last'}"
        )
    return (images if layout == "NCHW" else images.permute(0, 3, 1, 2)).contiguous()


def _labels(labels: Any, classes: Sequence[str] | None) -> tuple[Tensor, tuple[str, ...]]:
    """Return labels (N,) int64 and the names of the classes."""
    values = labels.detach().cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]  # as medical sets have them
    if values.ndim != 1 or values.dtype.kind not in "iuUOS":
        raise UserError(
            f"labels: are {values.dtype} of shape {values.shape}; whole numbers (N,) from 0, or "
            "texts, are needed"
        )
    if classes is not None and len({str(name) for name in classes}) != len(classes):
        raise UserError("classes: each name must stand once")
    if values.dtype.kind in "UOS":
        texts = [str(value) for value in values.tolist()]
        names = tuple(sorted(set(texts)) if classes is None else map(str, classes))
        unknown = next((text for text in texts if text not in names), None)
        if unknown is not None:
            raise UserError(f"labels: {unknown!r} is none of the classes {', '.join(names)}")
        number = {name: index for index, name in enumerate(names)}
        return torch.tensor([number[text] for text in texts], dtype=torch.int64), names
    if len(values) == 0:
        raise UserError("labels: there is none")
    low, high = int(values.min()), int(values.max())
    names = tuple(map(str, range(high + 1) if classes is None else classes))
    if low < 0 or high >= len(names):
        raise UserError(
            f"labels: run from {low} to {high}; "
            + ("they must be 0 or more" if low < 0 else f"there are {len(names)} classes")
        )
    return torch.from_numpy(values.astype(np.int64)), names


def refuse_gaps(given: Given) -> Given:
    """Return labelled images of two or more classes, each with an image.

    Raises:
        UserError: there is one class, or one without an image.
    """
    if len(given.classes) < 2:
        raise UserError("labels: name one class; two or more are needed")
    counts = torch.bincount(given.labels, minlength=len(given.classes)).tolist()
    for name, count in zip(given.classes, counts, strict=True):
        if count == 0:
            raise UserError(
                f"labels: class {name} has no image; number the {len(counts)} classes without gaps"
            )
    return given


def statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the mean and the standard deviation of each channel of pixels in [0, 1], to six
    digits.

    Args:
        images: (N, C, H, W) uint8.

    Raises:
        UserError: a channel is the same everywhere, so that nothing can be normalised by it.
    """
    mean, std = [], []
    levels = torch.arange(256, dtype=torch.float64) / 255
    for channel in range(images.shape[1]):
        counts = torch.zeros(256, dtype=torch.float64)
        for block in images[:, channel].split(_BLOCK):
            counts += torch.bincount(block.flatten().int(), minlength=256)
        share = counts / counts.sum()
        middle = float(share @ levels)
        spread = math.sqrt(float(share @ (levels - middle).square()))
        if spread == 0:
            raise UserError(
                f"images: channel {channel} is {middle:.4g} in every pixel; leave it out, or give "
                "mean and std"
            )
        mean.append(float(f"{middle:.6g}"))
        std.append(float(f"{spread:.6g}"))
    return tuple(mean), tuple(std)
