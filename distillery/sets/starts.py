"""The images that a distillation starts from, where they are those of a set."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from distillery.errors import UserError
from distillery.images import normalization
from distillery.images.dataset import Dataset
from distillery.sets.released import read as released


@dataclass(frozen=True)
class Start:
    """The images of a set, as a distillation starts from them.

    Attributes:
        images: (K·I, C, H, W) float32 on the CPU, class-ordered, in the space that is asked for.
        header: of the set, where it is one of our own.
        notes: what was done to the set that it could be read, a line each.
    """

    images: Tensor
    header: dict[str, Any] | None
    notes: list[str]


def read(entry: Mapping[str, Any], dataset: Dataset, ipc: int, where: str) -> Start:
    """Read a set as a start: of each class its first ``ipc`` images.

    Soft labels count as the likeliest class. Images in another space than the dataset's are taken
    back to pixels, unclipped, and into that space.

    Args:
        entry: ``file``, and where given ``labels``, ``labels_are`` and ``normalization``.
        dataset: that the start is for, in the space of the set to be.
        ipc: images per class, I.
        where: what the errors begin with, such as ``config: starts.mine``.

    Raises:
        UserError: it is no set of this dataset, has too few images of a class, or is whitened by
            what is not there.
    """
    spec = {
        "name": dataset.name,
        "channels": dataset.images.shape[1],
        "size": list(dataset.images.shape[2:]),
        "classes": dataset.classes,
        "mean": dataset.mean,
        "std": dataset.std,
    }
    found, rows = _chosen(entry, spec, ipc, where)
    _refuse_whitened(entry, found, dataset.whitening is not None, where)
    images = found.images[rows]
    if entry.get("normalization") == "zca" and found.normalization is None:
        return Start(images, found.header, found.notes)  # the dataset's own whitening
    channel = {"kind": "channel", "mean": list(dataset.mean), "std": list(dataset.std)}
    space = found.normalization or channel
    if space != dataset.normalization:
        images = _normalised(normalization.pixels(images, space, found.whitening), dataset)
    return Start(images, found.header, found.notes)


def check(
    entry: Mapping[str, Any], spec: Mapping[str, Any], ipc: int, whitened: bool, where: str
) -> list[str]:
    """Refuse a set that no distillation could start from; returns notes, as :func:`read`.

    Args:
        entry: as for :func:`read`.
        spec: the ``SPEC`` of the dataset.
        ipc: the most images per class that are asked for.
        whitened: whether the set to be is.
        where: what the errors begin with.
    """
    found, _ = _chosen(entry, spec, ipc, where)
    _refuse_whitened(entry, found, whitened, where)
    return found.notes


def _refuse_whitened(
    entry: Mapping[str, Any], found: released.Released, whitened: bool, where: str
) -> None:
    """Raise where images are whitened by a whitening that is not there to take them back."""
    unknown = entry.get("normalization") == "zca" and found.normalization is None
    if unknown and not whitened:
        raise UserError(
            f"{where}: its images are whitened, and the file has no whitening to take them back "
            "by; give the method `normalization: zca`"
        )


def _chosen(
    entry: Mapping[str, Any], spec: Mapping[str, Any], ipc: int, where: str
) -> tuple[released.Released, Tensor]:
    """Return a set, and the numbers (K·I,) of its images that are started from."""
    found = released.read(dict(entry), dict(spec), where=where)
    labels = found.labels if found.labels.ndim == 1 else found.labels.argmax(1)
    rows = []
    for c, name in enumerate(spec["classes"]):
        members = (labels == c).nonzero().flatten()
        if len(members) < ipc:
            raise UserError(
                f"{where}: has {len(members)} images of class {c} ({name}); ipc {ipc} needs as "
                "many: ask for fewer, or start from another set"
            )
        rows.append(members[:ipc])
    return found, torch.cat(rows)


def _normalised(pixels: Tensor, dataset: Dataset) -> Tensor:
    """Bring float pixels into a dataset's space."""
    if dataset.whitening is not None:
        return dataset.whitening.apply(pixels)
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (dataset.mean, dataset.std))
    return (pixels - mean) / std
