"""Read one released set of others, so that it is measured like our own.

Three modules beside this one do the parts: ``files`` reads what a file holds, ``pairs`` finds
images and labels in it, ``arrange`` and ``spaces`` bring them into the form of a
:class:`~distillery.sets.synthetic.SyntheticSet`. Where a set is not what the config says, it is
refused if that is sure, and noted if it is a guess; nothing is guessed in silence.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from distillery.errors import UserError
from distillery.images import normalization
from distillery.images.whitening import Whitening
from distillery.sets import synthetic
from distillery.sets.released.arrange import (
    arranged_images,
    arranged_labels,
    classes_of_folders,
    miscounted,
    of_one_kind,
)
from distillery.sets.released.contents import shown
from distillery.sets.released.files import load
from distillery.sets.released.numbers import FLOATING, INTEGER
from distillery.sets.released.pairs import STEP_SIZES, Part, find
from distillery.sets.released.spaces import normalised
from distillery.store import paths


@dataclass
class Released:
    """A released set.

    Attributes:
        images: (N, C, H, W) float32, in the space that ``normalization`` says.
        labels: (N,) int64, or (N, K) float32 probabilities. Both on the CPU, in their own memory.
        step_size: learned, where the file or the entry has one.
        normalization: as a header says it; ``None``: the dataset's own, or its whitening, as the
            entry says.
        whitening: of a set of our own that carries it.
        header: of a set of our own.
        notes: what was done to the set or noticed, a line each.
    """

    images: Tensor
    labels: Tensor
    step_size: float | None = None
    normalization: dict[str, Any] | None = None
    whitening: Whitening | None = None
    header: dict[str, Any] | None = None
    notes: list[str] = field(default_factory=list)


def read(entry: dict[str, Any], spec: dict[str, Any], number: int = 0, *, where: str) -> Released:
    """Read one set of an entry of the config's ``imported``, checked.

    Args:
        entry: ``file`` and ``ipc``, and where given ``labels``, ``labels_are``, ``sets``,
            ``step_size`` and ``normalization``. Without ``ipc`` each class may have any number of
            images, and a set of our own may be in any space.
        spec: the ``SPEC`` of the dataset that the set stands for; ``name``, ``classes``,
            ``channels``, ``size``, ``mean`` and ``std`` are read.
        number: of the set, from 0. The others are not checked: :func:`check` is for that.
        where: what its errors begin with, such as ``config: imported[0]``.

    Raises:
        UserError: a file is missing, damaged, of another kind, asks for code, or is no set of this
            dataset and ipc, or not what the entry says of it; in one line that names the file and
            what would be right.
    """
    parts = find(entry, max(entry.get("sets", 1), number + 1), where)
    return _checked(parts, number, entry, spec, where)


def check(entry: dict[str, Any], spec: dict[str, Any], where: str) -> list[str]:
    """Read every set that an entry of the config's ``imported`` names, and refuse what could not be
    measured.

    Returns:
        Notes: what was done to a set that it could be read, and what it looks like where that is
        not what the entry says.

    Raises:
        UserError: as :func:`read`.
    """
    sets = entry.get("sets", 1)
    parts = find(entry, sets, where)
    notes = [
        line for number in range(sets) for line in _checked(parts, number, entry, spec, where).notes
    ]
    return list(dict.fromkeys(notes))


def _checked(
    parts: list[list[Part]], number: int, entry: dict[str, Any], spec: dict[str, Any], where: str
) -> Released:
    """Arrange and check set ``number``. Shapes are compared first: one may claim more memory than
    the file has.

    Raises:
        UserError: it is no set of ``ipc`` images for each class of ``spec``.
    """
    group = parts[number]
    first, ipc, classes = group[0], entry.get("ipc"), len(spec["classes"])
    at, labels_at = first.images_at, first.labels_at
    notes: list[str] = []
    held = first.file
    assert held is not None  # `find` gives each part its file
    header = held.header
    if header is not None:
        _check_own(header, entry, spec, at)
    loaded = [
        arranged_images(
            part.images, spec, ipc if ipc and len(group) == 1 else False, notes, part.images_at
        )
        for part in group
    ]
    images = loaded[0] if len(loaded) == 1 else torch.cat(of_one_kind(loaded, group))
    if ipc and len(images) != ipc * classes:
        raise UserError(miscounted(len(images), ipc, spec, at))
    space, images = normalised(images, entry, spec, header, notes, at)
    # One file of labels may go with all of the images' files: it stands with the first.
    wanted = (
        [len(images)]
        if len(group) == 1 or group[1].labels is None
        else [len(part) for part in loaded]
    )
    labels = [
        arranged_labels(part.labels, count, classes, entry, notes, part.labels_at)
        for part, count in zip(group, wanted)
    ]
    if len({(one.dtype, one.ndim) for one in labels}) > 1:
        raise UserError(
            f"{labels_at}: has other labels than {group[1].labels_at}: all files of a set need "
            "classes, or all probabilities"
        )
    labels = classes_of_folders(
        torch.cat(labels) if len(labels) > 1 else labels[0], held.folders, spec, notes, at
    )
    # Nothing can be wrong with the images by now, so an error is one of the labels' file.
    synthetic.check(images, labels, classes=classes, where=labels_at)
    if labels.ndim == 1 and ipc:
        counts = torch.bincount(labels, minlength=classes)
        wrong = int((counts != ipc).int().argmax())
        if counts[wrong] != ipc:
            raise UserError(
                f"{labels_at}: class {wrong} has {int(counts[wrong])} images; `ipc: {ipc}` needs "
                f"{ipc} of each class"
            )
    step_size = _step_size(entry, first, notes, where)
    lines = [f"{at}: {line}" for line in dict.fromkeys(notes)]
    return Released(images, labels, step_size, space, held.whitening, header, lines)


def _check_own(
    header: dict[str, Any], entry: dict[str, Any], spec: dict[str, Any], at: str
) -> None:
    """Refuse a set of our own whose header says something else than the entry."""
    if header.get("dataset", spec["name"]) != spec["name"] or list(header["classes"]) != list(
        spec["classes"]
    ):
        raise UserError(
            f"{at}: is a set of {shown(str(header.get('dataset')), 40)}, as its header says, not "
            f"of {spec['name']}"
        )
    space = header.get("normalization")
    fields = space if isinstance(space, dict) else {}
    kind = fields.get("kind")
    if kind not in normalization.KINDS or (
        kind == "channel" and not all(_factors(fields.get(name), spec) for name in ("mean", "std"))
    ):
        raise UserError(
            f"{at}: its header does not say how its images were normalised; `channel` with mean "
            "and standard deviation, or `zca`, is needed"
        )
    stated = entry.get("normalization", "channel" if "ipc" in entry else kind)
    if stated != kind:
        raise UserError(
            f"{at}: its images are `{kind}`, as its header says, not `{stated}`; `normalization: "
            f"{kind}` goes with it"
        )


def _factors(values: Any, spec: dict[str, Any]) -> bool:
    """Return whether values are one number per channel."""
    return (
        isinstance(values, list)
        and len(values) == spec["channels"]
        and all(isinstance(value, (int, float)) and math.isfinite(value) for value in values)
    )


def _step_size(entry: dict[str, Any], part: Part, notes: list[str], where: str) -> float | None:
    """Read the learned step size: a number or a file of the entry, or that of the set's own
    file."""
    given = entry.get("step_size")
    if isinstance(given, str):
        (path,) = paths.named(given, f"{where}: step_size")[:1]
        at, value = f"{where}: {path}", load(path, where).value
        if isinstance(value, dict):
            names = {key.lower(): key for key in value if isinstance(key, str)}
            value = next((value[names[name]] for name in STEP_SIZES if name in names), value)
    elif given is not None:
        return float(given)
    else:
        at, value = part.images_at, part.step_size
        if value is None:
            return None
    if (
        isinstance(value, Tensor)
        and value.numel() == 1
        and value.dtype in (*FLOATING, *INTEGER)
        and value.layout == torch.strided
    ):
        value = float(value.detach().reshape(()))
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise UserError(
            f"{at}: the step size is a {type(value).__name__}; one number above 0, as an "
            "lr_best.pt holds, is needed"
        )
    if not (math.isfinite(value) and value > 0):
        raise UserError(
            f"{at}: the step size is {value:.6g}; a number above 0 is needed, or `step_size` in "
            "the entry"
        )
    if given is None:
        notes.append(f"its step size {value:.6g} was read with it")
    return float(value)
