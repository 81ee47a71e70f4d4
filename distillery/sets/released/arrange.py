"""Bring images to (N, C, H, W) and labels to classes or probabilities, or refuse them."""

from typing import Any

import torch
from torch import Tensor

from distillery import limits
from distillery.errors import UserError
from distillery.sets import synthetic
from distillery.sets.released.contents import shown
from distillery.sets.released.numbers import FLOATING, INTEGER, copy, numbers
from distillery.sets.released.pairs import Part


def arranged_images(
    value: Any, spec: dict[str, Any], ipc: int | bool, notes: list[str], at: str
) -> Tensor:
    """Bring images to (N, C, H, W): float32, or uint8 where the file holds whole numbers; in memory
    of their own.

    Args:
        value: what the file holds for images.
        spec: the dataset's: ``name``, ``channels``, ``size`` and ``classes``.
        ipc: to refuse another number of images before they are looked at; ``False``: any number.
        notes: gets a line on each guess that was made.
        at: what the errors begin with.
    """
    channels, classes = spec["channels"], len(spec["classes"])
    rows, columns = limits.sides(spec["size"])
    most = 1 << 29 if not ipc else max(6 * ipc * classes * channels * rows * columns, 1 << 12)
    needed = f"(N, {channels}, {rows}, {columns})"
    images = numbers(value, most, f"{at}: images are", "(N, C, H, W)")
    if images.dtype not in (*FLOATING, *INTEGER):
        raise UserError(f"{at}: images are {images.dtype}; float32, or uint8 pixels, is needed")
    shape = tuple(images.shape)
    images = in_order(images, channels, spec["size"], notes)
    if images is None:
        raise UserError(f"{at}: images are {shape}; {spec['name']} needs {needed}")
    if ipc and len(images) != ipc * classes:
        raise UserError(miscounted(len(images), ipc, spec, at))
    if images.numel() > most:
        raise UserError(
            f"{at}: images are {shape}, more numbers than any released set has; {spec['name']} "
            f"needs {needed}"
        )
    if not images.dtype.is_floating_point:
        if images.numel() and (int(images.min()) < 0 or int(images.max()) > 255):
            raise UserError(
                f"{at}: images are whole numbers from {int(images.min())} to {int(images.max())}; "
                "pixels, 0 to 255, or float32 is needed"
            )
        images = images.to(torch.uint8)
    if images.shape[1] != channels:
        if not torch.equal(images, images[:, :1].expand_as(images)):
            raise UserError(
                f"{at}: images are {shape} and their channels differ; {spec['name']} is grey and "
                f"needs {needed}"
            )
        images = images[:, :1]
        notes.append(f"three equal channels were read as the one of {spec['name']}")
    if images.shape[2] != rows:
        border = (images.shape[2] - rows) // 2
        inside = slice(border, border + rows), slice(border, border + columns)
        rim = torch.ones(images.shape[2:], dtype=torch.bool)
        rim[inside] = False
        if images.numel() and images[:, :, rim].unique().numel() != 1:
            raise UserError(
                f"{at}: images are {shape} and have no plain border that could be taken off; "
                f"{spec['name']} needs {needed}"
            )
        images = images[:, :, *inside]
        notes.append(
            f"the plain border of {border} pixels around {rows} by {columns} was taken off"
        )
    images = copy(images, torch.float32 if images.is_floating_point() else torch.uint8)
    if not torch.isfinite(images).all():
        raise UserError(f"{at}: images hold NaN or infinite values; finite float32 is needed")
    return images


def in_order(images: Tensor, channels: int, size: limits.Size, notes: list[str]) -> Tensor | None:
    """View images whose shape leaves no doubt as (N, C, H, W); ``None`` where it fits nothing."""
    rows, columns = limits.sides(size)
    if channels == 1 and images.ndim == 2 and images.shape[1] == rows * columns:
        images = images.reshape(-1, 1, rows, columns)
        notes.append("flat rows were read as images")
    if channels == 1 and images.ndim == 3:
        images = images[:, None]
    if images.ndim != 4:
        return None
    usual = {1, 3, channels}
    if images.shape[1] not in usual and images.shape[3] in usual:
        images = images.permute(0, 3, 1, 2)
        notes.append("the channels stand last in the file and were brought to the front")
    count, height, width = images.shape[1:]
    grey = channels == 1 and count == 3
    # A border is made for networks that halve their images several times: at most an eighth of the
    # size on each side.
    border = height - rows
    padded = border == width - columns and border in range(0, min(rows, columns) // 4 + 1, 2)
    return images if (count == channels or grey) and padded else None


def of_one_kind(images: list[Tensor], group: list[Part]) -> list[Tensor]:
    """Return the images of a set's files; refuse files of different types."""
    if len({one.dtype for one in images}) > 1:
        other = next(part for part, one in zip(group, images) if one.dtype != images[0].dtype)
        raise UserError(
            f"{other.images_at}: images are of another type than those of the first file; all "
            "files of a set need one space"
        )
    return images


def miscounted(count: int, ipc: int, spec: dict[str, Any], at: str) -> str:
    """Say that a file holds another number of images than its entry asks for."""
    classes = len(spec["classes"])
    fits = count > 0 and count % classes == 0
    return (
        f"{at}: holds {count} images; `ipc: {ipc}` for the {classes} classes of {spec['name']} "
        f"needs {ipc * classes}" + (f" (`ipc: {count // classes}` would fit)" if fits else "")
    )


def arranged_labels(
    value: Any, count: int, classes: int, entry: dict[str, Any], notes: list[str], at: str
) -> Tensor:
    """Bring labels to (count,) int64 or (count, classes) float32 probabilities; what is neither
    stays as it is, to be refused.
    """
    labels = numbers(value, max(count * max(classes, 1), 1), f"{at}: labels are", "(N,) or (N, K)")
    logits = entry.get("labels_are") == "logits"
    if labels.shape == (count, 1) and classes > 1:
        labels = labels[:, 0]
    if (
        labels.shape == (count,)
        and labels.dtype in FLOATING
        and torch.equal(labels, labels.round())
        and bool(labels.isfinite().all())
    ):
        labels = labels.to(torch.int64)
    if (
        labels.shape == (count, classes)
        and labels.dtype in (*INTEGER, torch.bool)
        and _marks_one(labels)
    ):
        labels = labels.to(torch.int64).argmax(1)
        notes.append("labels that mark one class in a row of zeros were read as that class")
    if labels.shape == (count,) and labels.dtype in INTEGER:
        if logits:
            raise UserError(f"{at}: labels are one class an image, not logits; drop `labels_are`")
        return copy(labels, torch.int64)
    if labels.shape != (count, classes) or labels.dtype not in FLOATING:
        return labels
    if not torch.isfinite(labels).all():
        return copy(labels, torch.float32)
    wrong = synthetic.improper(labels)
    if logits:
        if wrong is None:
            raise UserError(
                f"{at}: labels are probabilities already, and a softmax would blur them; drop "
                "`labels_are`"
            )
        return labels.double().softmax(1).float()
    if wrong is not None:
        raise UserError(
            f"{at}: soft labels are no probabilities ({wrong}); if they are logits, `labels_are: "
            "logits` takes their softmax"
        )
    return copy(labels, torch.float32)


def _marks_one(labels: Tensor) -> bool:
    """Return whether each row of whole numbers is one 1 among zeros."""
    return bool(((labels == 0) | (labels == 1)).all()) and bool(
        (labels.to(torch.int64).sum(1) == 1).all()
    )


def classes_of_folders(
    labels: Tensor, folders: list[str], spec: dict[str, Any], notes: list[str], at: str
) -> Tensor:
    """Turn labels that count folders into classes: by the folders' names where these are classes or
    numbers, and otherwise in their order.
    """
    classes = [str(name) for name in spec["classes"]]
    if not folders:
        return labels
    if len(folders) != len(classes):
        raise UserError(
            f"{at}: has {len(folders)} folders of pictures; {spec['name']} has {len(classes)} "
            "classes, a folder each"
        )
    for names in (classes, [name.casefold() for name in classes]):
        given = folders if names is classes else [name.casefold() for name in folders]
        if sorted(given) == sorted(names) and len(set(names)) == len(names):
            return torch.tensor([names.index(name) for name in given])[labels]
    if all(name.isdecimal() for name in folders) and sorted(map(int, folders)) == list(
        range(len(classes))
    ):
        return torch.tensor([int(name) for name in folders])[labels]
    notes.append(
        f"its folders ({shown(', '.join(folders), 60)}) were taken for classes 0 to "
        f"{len(classes) - 1} in the order of their names"
    )
    return labels
