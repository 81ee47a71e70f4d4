"""Released synthetic sets of others, read so that they are measured like our own.

:mod:`distillery.sets.foreign` reads the files. Here images and labels are found in them, brought
into the form of a :class:`~distillery.sets.synthetic.SyntheticSet`, and compared with what the
config says of them. Where a set is not what it is said to be, it is refused if that is sure, and
told of if it is a guess; nothing is guessed in silence.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from distillery import plugins
from distillery.errors import UserError
from distillery.images import normalization
from distillery.images.whitening import Whitening
from distillery.sets import foreign, synthetic
from distillery.sets.foreign import shown
from distillery.store import paths

# How others name what a dictionary holds, the likeliest first.
IMAGES = [
    "images",
    "image",
    "imgs",
    "img",
    "x",
    "syn_images",
    "images_syn",
    "image_syn",
    "x_train",
    "images_train",
    "image_train",
    "data",
]
LABELS = [
    "labels",
    "label",
    "targets",
    "target",
    "y",
    "syn_labels",
    "labels_syn",
    "label_syn",
    "y_train",
    "labels_train",
    "label_train",
]
STEP_SIZES = ("step_size", "syn_lr", "lr_syn", "learned_lr", "lr")

NEEDED = (
    "images with labels are needed: `images` and `labels`, a list of both, "
    "or `data` with such pairs"
)

_FLOATING = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_INTEGER = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
_DEPTH = 8  # of lists in lists
# What the spread of a set says of its space. Real images, normalised, have a standard deviation of
# 1 (1.25 by the constants of CIFAR-10 that the literature uses), whitened ones 0.25 to 0.37 in
# colour and 0.5 in digits; the means of classes have less, so a small spread is a guess only.
_WHITENED, _NORMALISED = (0.15, 0.55), 0.7


@dataclass
class Released:
    """One set of a file.

    Attributes:
        images: (N, C, H, W) float32, in the space that ``normalization`` says.
        labels: (N,) int64, or (N, K) float32 probabilities. Both on the CPU, in their own memory.
        step_size: learned, where the file or the entry has one.
        normalization: as a header says it; ``None``: the dataset's own, or its whitening, as the
            entry says.
        whitening: of a set of our own that carries it.
        header: of a set of our own.
        told: what was done to the set or noticed, a line each.
    """

    images: Tensor
    labels: Tensor
    step_size: float | None = None
    normalization: dict[str, Any] | None = None
    whitening: Whitening | None = None
    header: dict[str, Any] | None = None
    told: list[str] = field(default_factory=list)


@dataclass
class _Part:
    """Images and labels as a file holds them; nothing else is known of them yet."""

    images: Any
    labels: Any
    step_size: Any = None
    # Where each stands, for messages; `found` is the file of the images.
    images_at: str = ""
    labels_at: str = ""
    found: foreign.Found | None = None


# ---- what rules and scripts call -----------------------------------------------------------------


def read(entry: dict[str, Any], spec: dict[str, Any], number: int = 0, *, where: str) -> Released:
    """Read one set of an entry of the config's ``imported``, checked.

    Args:
        entry: ``file`` and ``ipc``, and where given ``labels``, ``labels_are``, ``sets``,
            ``step_size`` and ``normalization``.
        spec: the ``SPEC`` of the dataset that the set stands for; ``name``, ``classes``,
            ``channels``, ``size``, ``mean`` and ``std`` are read.
        number: of the set, from 0. The others are not checked: :func:`check` is for that.
        where: what its errors begin with, such as ``config: imported[0]``.

    Raises:
        UserError: a file is missing, damaged, of another kind, asks for code, or is no set of this
            dataset and ipc, or not what the entry says
            of it; in one line that names the file and what would be right.
    """
    parts = _parts(entry, max(entry.get("sets", 1), number + 1), where)
    return _checked(parts, number, entry, spec, where)


def check(entry: dict[str, Any], spec: dict[str, Any], where: str) -> list[str]:
    """Read every set that an entry of the config's ``imported`` names, and refuse what could not be
    measured.

    Returns:
        What is worth telling: what was done to a set that it could be read, and what it looks like
            where that is not what the entry says.

    Raises:
        UserError: as :func:`read`.
    """
    sets = entry.get("sets", 1)
    parts = _parts(entry, sets, where)
    told = [
        line for number in range(sets) for line in _checked(parts, number, entry, spec, where).told
    ]
    return list(dict.fromkeys(told))


# ---- what the files hold -------------------------------------------------------------------------


def _parts(entry: dict[str, Any], sets: int, where: str) -> list[list[_Part]]:
    """At least ``sets`` sets, each of one part a file.

    Raises:
        UserError: the files do not hold them.
    """
    files = paths.named(entry["file"], f"{where}: file")
    beside = paths.named(entry["labels"], f"{where}: labels") if "labels" in entry else []
    if len(beside) not in (0, 1, len(files)):
        raise UserError(
            f"{where}: labels: {len(beside)} files do not go with {len(files)} of images; name "
            "one, or one for each"
        )
    if sets > 1 and (beside or len(files) > 1):
        what = "with `labels` it is one set" if beside else "several files are one set"
        raise UserError(
            f"{where}: {files[0]}: {what}, but {sets} are asked for; `sets: 1` goes with it"
        )
    if len(files) == 1:
        return [[part] for part in _one_file(files[0], beside[0] if beside else None, sets, where)]
    # Several files are the parts of one set, in order; one file of labels goes with all of them.
    shared = foreign.load(beside[0], where).value if len(beside) == 1 else None
    parts = []
    for number, file in enumerate(files):
        one = beside[number] if len(beside) == len(files) else None
        parts += _one_file(file, one, 1, where, labels_elsewhere=shared is not None)[:1]
    if shared is not None:
        parts[0].labels, parts[0].labels_at = shared, f"{where}: {beside[0]}"
    return [parts]


def _one_file(
    file: str, beside: str | None, sets: int, where: str, labels_elsewhere: bool = False
) -> list[_Part]:
    found = foreign.load(file, where)
    at = f"{where}: {file}"
    parts = _pairs(found.value, at)
    if beside is not None or labels_elsewhere:
        if any(part.labels is not None for part in parts):
            what = (
                "is a dictionary, as a res_*.pt is, which"
                if isinstance(found.value, dict)
                else "holds images with labels, and"
            )
            raise UserError(f"{at}: {what} has labels of its own; drop `labels`")
        labels = None if beside is None else _bare_labels(foreign.load(beside, where).value)
        parts = [
            _Part(
                parts[0].images,
                labels,
                parts[0].step_size,
                labels_at=f"{where}: {beside}" if beside else "",
            )
        ]
    elif len(parts) == 1 and parts[0].labels is None:
        if parts[0].images is found.value:
            what = (
                "is one tensor, as an images_*.pt is"
                if isinstance(found.value, Tensor)
                else "holds images alone"
            )
            raise UserError(f"{at}: {what}; name its labels_*.pt as `labels`")
        raise UserError(f"{at}: holds images without labels; name the file with them as `labels`")
    if len(parts) < sets:
        held = f"{len(parts)} set{'' if len(parts) == 1 else 's'}"
        remedy = f"`sets: {len(parts)}` or less" if parts else "a file with at least one"
        raise UserError(f"{at}: holds {held}, but {sets} are asked for; {remedy} would do")
    for number, part in enumerate(parts):
        place = f": set {number}" if len(parts) > 1 else ""
        part.images_at, part.labels_at, part.found = at + place, part.labels_at or at + place, found
    return parts


def _pairs(value: Any, at: str) -> list[_Part]:
    """The sets of a file; labels are ``None`` where it holds images alone.

    Raises:
        UserError: it holds no images that could be told from the rest.
    """
    if isinstance(value, Tensor):
        return [_Part(value, None)]
    if isinstance(value, (list, tuple)):
        return _listed(value, at, "is")
    if not isinstance(value, dict):
        raise UserError(f"{at}: holds a {type(value).__name__}, no images; {NEEDED}")
    names = {key.lower(): key for key in value if isinstance(key, str)}
    images, labels, step = (
        next((names[name] for name in known if name in names), None)
        for known in (IMAGES, LABELS, STEP_SIZES)
    )
    if images is not None and labels is not None:
        return [_Part(value[images], value[labels], None if step is None else value[step])]
    if isinstance(value.get("data"), (list, tuple)):
        return _listed(value["data"], at, "`data` is")
    if images is not None:
        return [_Part(value[images], None)]
    by_class = _by_class(value)
    if by_class is not None:
        return [by_class]
    keys = (
        ", ".join(f"`{shown(key, 30)}`" for key in list(value)[:5] if isinstance(key, str))
        or "none"
    )
    raise UserError(f"{at}: has no key for images with one for labels (its keys: {keys}); {NEEDED}")


def _listed(value: list[Any] | tuple[Any, ...], at: str, what: str) -> list[_Part]:
    """The sets of a list: that of one pair, of each pair in it, or its images alone."""
    if _is_pair(value):
        return [_Part(*value)]
    if value and all(isinstance(item, dict) for item in value):
        return [part for item in value for part in _pairs(item, at)[:1]]
    if all(
        isinstance(item, (list, tuple)) and len(item) in (2, 3) and _ndim(item[1]) < 3
        for item in value
    ):
        return [_Part(*item) for item in value]
    if len(value) > 1 and len({_ndim(item) for item in value}) == 1 and _ndim(value[0]) in (2, 3):
        return [_Part(value, None)]
    raise UserError(f"{at}: {what} not a list of (images, labels) pairs; {NEEDED}")


def _is_pair(value: Any) -> bool:
    """Images and then labels (and then a step size), where the numbers of dimensions say so."""
    if len(value) not in (2, 3) or (len(value) == 3 and _ndim(value[2]) != 0):
        return False
    first, second = _ndim(value[0]), _ndim(value[1])
    return (
        first >= 2
        and second <= 2
        and (first > second or isinstance(value[0], Tensor))
        and second >= 0
    )


def _by_class(value: dict[Any, Any]) -> _Part | None:
    """A dictionary of each class's images, by its number."""
    numbers = {
        int(key): key
        for key in value
        if isinstance(key, int) or (isinstance(key, str) and key.isdecimal() and len(key) < 5)
    }
    if not value or len(numbers) != len(value) or sorted(numbers) != list(range(len(value))):
        return None
    images = [value[numbers[number]] for number in range(len(value))]
    if not all(isinstance(item, Tensor) and item.ndim == 4 for item in images):
        return None
    return _Part(
        images,
        [number for number, item in enumerate(images) for _ in range(min(len(item), 1 << 16))],
    )


def _bare_labels(value: Any) -> Any:
    """The labels of a file that holds them alone."""
    names = (
        {key.lower(): key for key in value if isinstance(key, str)}
        if isinstance(value, dict)
        else {}
    )
    key = next((names[name] for name in LABELS if name in names), None)
    return value if key is None else value[key]


def _ndim(value: Any, depth: int = 0) -> int:
    """The number of dimensions of a tensor, or of lists of numbers in lists; -1 for what is
    neither.
    """
    if isinstance(value, Tensor):
        return value.ndim
    if isinstance(value, (list, tuple)):
        if not value or depth > _DEPTH:
            return 1
        inner = _ndim(value[0], depth + 1)
        return -1 if inner < 0 else inner + 1
    return 0 if isinstance(value, (int, float)) else -1


# ---- from numbers to a set -----------------------------------------------------------------------


def _checked(
    parts: list[list[_Part]], number: int, entry: dict[str, Any], spec: dict[str, Any], where: str
) -> Released:
    """Set ``number`` as :func:`read` returns it. Shapes are compared first: one may claim more
    memory than the file has.

    Raises:
        UserError: it is no set of ``ipc`` images for each class of ``spec``.
    """
    group = parts[number]
    first, ipc, classes = group[0], entry["ipc"], len(spec["classes"])
    at, labels_at, told = first.images_at, first.labels_at, []
    header = first.found.header
    if header is not None:
        _check_own(header, entry, spec, at)
    loaded = [
        _images(part.images, spec, len(group) == 1 and ipc, told, part.images_at) for part in group
    ]
    images = loaded[0] if len(loaded) == 1 else torch.cat(_of_one_kind(loaded, group))
    if len(images) != ipc * classes:
        raise UserError(_miscounted(len(images), ipc, spec, at))
    space, images = _space(images, entry, spec, header, told, at)
    # One file of labels may go with all of the images' files: it stands with the first.
    wanted = (
        [len(images)]
        if len(group) == 1 or group[1].labels is None
        else [len(part) for part in loaded]
    )
    labels = [
        _labels(part.labels, count, classes, entry, told, part.labels_at)
        for part, count in zip(group, wanted)
    ]
    if len({(one.dtype, one.ndim) for one in labels}) > 1:
        raise UserError(
            f"{labels_at}: has other labels than {group[1].labels_at}: all files of a set need "
            "classes, or all probabilities"
        )
    labels = _classes_of_folders(
        torch.cat(labels) if len(labels) > 1 else labels[0], first.found.folders, spec, told, at
    )
    # Nothing can be wrong with the images by now, so whatever is wrong is told of the labels' file.
    synthetic.check(images, labels, classes=classes, where=labels_at)
    if labels.ndim == 1:
        counts = torch.bincount(labels, minlength=classes)
        wrong = int((counts != ipc).int().argmax())
        if counts[wrong] != ipc:
            raise UserError(
                f"{labels_at}: class {wrong} has {int(counts[wrong])} images; `ipc: {ipc}` needs "
                f"{ipc} of each class"
            )
    step_size = _step_size(entry, first, told, where)
    lines = [f"{at}: {line}" for line in dict.fromkeys(told)]
    return Released(images, labels, step_size, space, first.found.whitening, header, lines)


def _check_own(
    header: dict[str, Any], entry: dict[str, Any], spec: dict[str, Any], at: str
) -> None:
    """A set of our own says itself what it is, and the entry must not say otherwise."""
    if header.get("dataset", spec["name"]) != spec["name"] or list(header["classes"]) != list(
        spec["classes"]
    ):
        raise UserError(
            f"{at}: is a set of {shown(str(header.get('dataset')), 40)}, as its header says, not "
            f"of {spec['name']}"
        )
    space = header.get("normalization")
    kind = space.get("kind") if isinstance(space, dict) else None
    if kind not in normalization.KINDS or (
        kind == "channel" and not all(_factors(space.get(name), spec) for name in ("mean", "std"))
    ):
        raise UserError(
            f"{at}: its header does not say how its images were normalised; `channel` with mean "
            "and standard deviation, or `zca`, is needed"
        )
    said = entry.get("normalization", "channel")
    if said != kind:
        raise UserError(
            f"{at}: its images are `{kind}`, as its header says, not `{said}`; `normalization: "
            f"{kind}` goes with it"
        )


def _factors(values: Any, spec: dict[str, Any]) -> bool:
    """Whether values are a number a channel."""
    return (
        isinstance(values, list)
        and len(values) == spec["channels"]
        and all(isinstance(value, (int, float)) and math.isfinite(value) for value in values)
    )


def _images(value: Any, spec: dict[str, Any], ipc: int | bool, told: list[str], at: str) -> Tensor:
    """(N, C, H, W): float32, or uint8 where the file holds whole numbers; in memory of their own.

    Args:
        ipc: to refuse another number of images before they are looked at; ``False``: any number.
    """
    channels, size, classes = spec["channels"], spec["size"], len(spec["classes"])
    most = 1 << 29 if not ipc else max(6 * ipc * classes * channels * size * size, 1 << 12)
    needed = f"(N, {channels}, {size}, {size})"
    images = _numbers(value, most, f"{at}: images are", "(N, C, H, W)")
    if images.dtype not in (*_FLOATING, *_INTEGER):
        raise UserError(f"{at}: images are {images.dtype}; float32, or uint8 pixels, is needed")
    shape = tuple(images.shape)
    images = _arranged(images, channels, size, told)
    if images is None:
        raise UserError(f"{at}: images are {shape}; {spec['name']} needs {needed}")
    if ipc and len(images) != ipc * classes:
        raise UserError(_miscounted(len(images), ipc, spec, at))
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
        told.append(f"three equal channels were read as the one of {spec['name']}")
    if images.shape[2] != size:
        border = (images.shape[2] - size) // 2
        rim = torch.ones(images.shape[2:], dtype=torch.bool)
        rim[border : border + size, border : border + size] = False
        if images.numel() and images[:, :, rim].unique().numel() != 1:
            raise UserError(
                f"{at}: images are {shape} and have no plain border that could be taken off; "
                f"{spec['name']} needs {needed}"
            )
        images = images[:, :, border : border + size, border : border + size]
        told.append(f"the plain border of {border} pixels around {size} by {size} was taken off")
    images = _copy(images, torch.float32 if images.is_floating_point() else torch.uint8)
    if not torch.isfinite(images).all():
        raise UserError(f"{at}: images hold NaN or infinite values; finite float32 is needed")
    return images


def _arranged(images: Tensor, channels: int, size: int, told: list[str]) -> Tensor | None:
    """(N, C, H, W) of images whose shape leaves no doubt; ``None`` where it fits nothing. Only
    the view is another one.
    """
    if channels == 1 and images.ndim == 2 and images.shape[1] == size * size:
        images = images.reshape(-1, 1, size, size)
        told.append("flat rows were read as images")
    if channels == 1 and images.ndim == 3:
        images = images[:, None]
    if images.ndim != 4:
        return None
    if images.shape[1] not in (1, 3) and images.shape[3] in (1, 3):
        images = images.permute(0, 3, 1, 2)
        told.append("the channels stand last in the file and were brought to the front")
    count, height, width = images.shape[1:]
    grey = channels == 1 and count == 3
    # A border is made for networks that halve their images several times: at most an eighth of the
    # size on each side.
    padded = height - size in range(0, size // 4 + 1, 2) and height >= size
    return images if (count == channels or grey) and height == width and padded else None


def _numbers(value: Any, most: int, what: str, shape: str) -> Tensor:
    """A tensor of a tensor or of lists, of at most ``most`` numbers where they are to be put
    together.

    Raises:
        UserError: it is neither, or its parts have different lengths.
    """
    if isinstance(value, (list, tuple)) and value and 0 < _ndim(value) < _DEPTH:
        total = _count(value, most)
        if total > most:
            raise UserError(
                f"{what} more numbers in lists than are needed; a tensor {shape} is needed"
            )
        try:
            if isinstance(value[0], Tensor):
                rows = [_plain(item, what, shape) for item in value]
                return torch.cat(rows) if rows[0].ndim == 4 else torch.stack(rows)
            return torch.tensor(value)
        except (TypeError, ValueError, RuntimeError, OverflowError) as error:
            raise UserError(
                f"{what} lists of different lengths or kinds; a tensor {shape} is needed"
            ) from error
    return _plain(value, what, shape)


def _count(value: Any, most: int, depth: int = 0) -> int:
    """How many numbers stand in lists, as far as ``most``: the same list may stand in many
    places.
    """
    if isinstance(value, Tensor):
        return value.numel()
    if not isinstance(value, (list, tuple)) or depth > _DEPTH:
        return 1
    total = 0
    for item in value:
        total += _count(item, most - total, depth + 1)
        if total > most:
            break
    return max(total, 1)  # empty lists in lists have no end either


def _plain(value: Any, what: str, shape: str) -> Tensor:
    if not isinstance(value, Tensor):
        raise UserError(f"{what} a {type(value).__name__}; a tensor {shape} is needed")
    if value.layout != torch.strided or value.device.type != "cpu":
        raise UserError(
            f"{what} {value.layout} on {value.device}; a dense tensor {shape} is needed"
        )
    return value.detach()


def _copy(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    # A copy even of the right type: what was loaded may be a view of a larger one.
    return tensor.to(dtype, copy=True, memory_format=torch.contiguous_format)


def _of_one_kind(images: list[Tensor], group: list[_Part]) -> list[Tensor]:
    if len({one.dtype for one in images}) > 1:
        other = next(part for part, one in zip(group, images) if one.dtype != images[0].dtype)
        raise UserError(
            f"{other.images_at}: images are of another type than those of the first file; all "
            "files of a set need one space"
        )
    return images


def _miscounted(count: int, ipc: int, spec: dict[str, Any], at: str) -> str:
    classes = len(spec["classes"])
    fits = count > 0 and count % classes == 0
    return (
        f"{at}: holds {count} images; `ipc: {ipc}` for the {classes} classes of {spec['name']} "
        f"needs {ipc * classes}" + (f" (`ipc: {count // classes}` would fit)" if fits else "")
    )


def _labels(
    value: Any, count: int, classes: int, entry: dict[str, Any], told: list[str], at: str
) -> Tensor:
    """(count,) int64, or (count, classes) float32 probabilities; what is neither stays as it is,
    to be refused.
    """
    labels = _numbers(value, max(count * max(classes, 1), 1), f"{at}: labels are", "(N,) or (N, K)")
    logits = entry.get("labels_are") == "logits"
    if labels.shape == (count, 1) and classes > 1:
        labels = labels[:, 0]
    if (
        labels.shape == (count,)
        and labels.dtype in _FLOATING
        and torch.equal(labels, labels.round())
        and bool(labels.isfinite().all())
    ):
        labels = labels.to(torch.int64)
    if (
        labels.shape == (count, classes)
        and labels.dtype in (*_INTEGER, torch.bool)
        and _marks_one(labels)
    ):
        labels = labels.to(torch.int64).argmax(1)
        told.append("labels that mark one class in a row of zeros were read as that class")
    if labels.shape == (count,) and labels.dtype in _INTEGER:
        if logits:
            raise UserError(f"{at}: labels are one class an image, not logits; drop `labels_are`")
        return _copy(labels, torch.int64)
    if labels.shape != (count, classes) or labels.dtype not in _FLOATING:
        return labels
    if not torch.isfinite(labels).all():
        return _copy(labels, torch.float32)
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
    return _copy(labels, torch.float32)


def _marks_one(labels: Tensor) -> bool:
    """Whether each row of whole numbers is one 1 among zeros."""
    return bool(((labels == 0) | (labels == 1)).all()) and bool(
        (labels.to(torch.int64).sum(1) == 1).all()
    )


def _classes_of_folders(
    labels: Tensor, folders: list[str], spec: dict[str, Any], told: list[str], at: str
) -> Tensor:
    """Labels that count folders, as classes: by their names where these are classes or numbers,
    and otherwise in their order.
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
    told.append(
        f"its folders ({shown(', '.join(folders), 60)}) were taken for classes 0 to "
        f"{len(classes) - 1} in the order of their names"
    )
    return labels


def _step_size(entry: dict[str, Any], part: _Part, told: list[str], where: str) -> float | None:
    """The learned step size: a number or a file of the entry, or that of the set's own file."""
    given = entry.get("step_size")
    if isinstance(given, str):
        (path,) = paths.named(given, f"{where}: step_size")[:1]
        at, value = f"{where}: {path}", foreign.load(path, where).value
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
        and value.dtype in (*_FLOATING, *_INTEGER)
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
        told.append(f"its step size {value:.6g} was read with it")
    return float(value)


# ---- the space of the images ---------------------------------------------------------------------


def _space(
    images: Tensor,
    entry: dict[str, Any],
    spec: dict[str, Any],
    header: dict[str, Any] | None,
    told: list[str],
    at: str,
) -> tuple[dict[str, Any] | None, Tensor]:
    """The images in the space that networks see, and that space, where it is not the entry's.

    Raises:
        UserError: they are surely in another space than the entry says.
    """
    if header is not None:
        space = header["normalization"]
        if images.dtype != torch.uint8:
            return space, images
        if space["kind"] == "zca":
            raise UserError(
                f"{at}: its pictures are of a whitened set, whose whitening the folder has not; "
                "export the set `--as hub` and name that"
            )
        return space, normalization.normalise(images, space)
    said = entry.get("normalization")
    own = {"kind": "channel", "mean": list(spec["mean"]), "std": list(spec["std"])}
    if images.dtype == torch.uint8:
        if said == "zca":
            raise UserError(
                f"{at}: holds pixels, 0 to 255, and no whitened images; drop `normalization`"
            )
        if said != "pixels":
            told.append(
                "its pixels, 0 to 255, were normalised by the mean and standard deviation of "
                f"{spec['name']}"
            )
        return None, normalization.normalise(images, own)
    looks, sure = looks_like(images)
    measured = spread(images)
    if said == "pixels":
        scale = 255 if float(images.double().mean()) > 2 else 1
        pixels = images / scale
        if (
            looks == "channel" and scale == 1
        ):  # pixels within 0 and 1 have a standard deviation of 0.5 at most
            raise UserError(
                f"{at}: `normalization: pixels`, but {measured}, as of {_WORDS[looks]}; "
                "`normalization: channel` goes with them"
            )
        if looks == "zca":
            told.append(f"{measured}, as of {_WORDS[looks]}; it is taken for {_WORDS[said]}")
        mean, std = (torch.tensor(own[name]).view(-1, 1, 1) for name in ("mean", "std"))
        return None, (pixels - mean) / std
    line = f"{measured}, as of {_WORDS[looks]}; " if looks else ""
    if looks == "pixels" and sure and said != "channel":
        raise UserError(
            f"{at}: {line}`normalization: pixels` normalises them by the mean and standard "
            f"deviation of {spec['name']}"
        )
    if looks not in (None, said or "channel"):
        told.append(
            f"{line}it is taken for {_WORDS[said or 'channel']}; if it is not, `normalization: "
            f"{looks}` goes with it"
        )
    return None, images


_WORDS = {
    "channel": "normalised images",
    "pixels": "pixels that were not normalised",
    "zca": "whitened images",
}


def looks_like(images: Tensor) -> tuple[str | None, bool]:
    """What the numbers of float images say of their space: ``channel``, ``pixels``, ``zca`` or
    ``None``; and whether that is sure.

    Sure are pixels: a set without one number below 0 has no pixel that is darker than the dataset's
        mean. All else is a guess by mean and
    standard deviation, since a set is free to have any.
    """
    values = images.double()
    mean, std = float(values.mean()), float(values.std(correction=0))
    if std == 0:
        return None, False
    if float(values.min()) >= 0 and float(values.max()) <= 255:
        return "pixels", True
    if mean > 0 and std < 0.6 and float((values < 0).double().mean()) < 0.05:
        return "pixels", False
    if _WHITENED[0] < std < _WHITENED[1] and abs(mean) < 0.2:
        return "zca", False
    return ("channel" if std > _NORMALISED else None), False


def spread(images: Tensor) -> str:
    """The mean, the standard deviation and the range of images, in words."""
    values = images.double()
    mean, std = float(values.mean()), float(values.std(correction=0))
    text = f"its mean is {mean:.2f} and its standard deviation {std:.2f}"
    return f"{text} ({float(values.min()):.3g} to {float(values.max()):.3g})"


# ---- what a file is, told to a user --------------------------------------------------------------


def describe(file: str, labels: str | None = None) -> list[tuple[str, str]]:
    """A file of others in a few lines, as (what, text): what it holds, what that looks like, and
    which entry of a config takes it.

    Raises:
        UserError: it cannot be read, or holds no images.
    """
    found = foreign.load(file, "info")
    parts = _pairs(found.value, f"info: {file}")
    if not parts:
        raise UserError(f"info: {file}: holds no set; {NEEDED}")
    part = parts[0]
    if labels is None and (rows := _not_images(part, file)):
        return [("file", found.form), *rows]
    beside = part.labels if labels is None else _bare_labels(foreign.load(labels, "info").value)
    images = _numbers(part.images, 1 << 28, f"info: {file}: images are", "(N, C, H, W)")
    rows = [("file", found.form), ("sets", str(len(parts)))]
    rows.append(("images", f"{_shape(images)} {_name(images.dtype)}"))
    keys: dict[str, str] = {}
    if 0 < images.numel() <= 1 << 28 and images.dtype in (*_FLOATING, *_INTEGER):
        if not images.isfinite().all():
            raise UserError(
                f"info: {file}: images hold NaN or infinite values; finite float32 is needed"
            )
        looks, sure = ("pixels", True) if not images.is_floating_point() else looks_like(images)
        rows.append(("spread", spread(images) + _by_channel(images)))
        rows.append(
            (
                "looks like",
                f"{_WORDS[looks]}{'' if sure else ' (by its mean and standard deviation: a guess)'}"
                if looks
                else "nothing that is known",
            )
        )
        if looks in ("pixels", "zca") and images.is_floating_point():
            keys["normalization"] = looks
    if beside is None:
        rows.append(("labels", "none in the file; they stand in another, such as a labels_*.pt"))
    else:
        tensor = _numbers(beside, 1 << 28, f"info: {labels or file}: labels are", "(N,) or (N, K)")
        text, logits = _about_labels(tensor)
        rows.append(("labels", text))
        keys |= {"labels_are": "logits"} if logits else {}
    if isinstance(part.step_size, (int, float, Tensor)) and _ndim(part.step_size) == 0:
        rows.append(("step size", f"{float(part.step_size):.6g}"))
    fits = [
        name
        for name, known in plugins.datasets().items()
        if len(images) and images.ndim == 4 and _fits(images, known.spec)
    ]
    rows.append(("datasets", ", ".join(fits) or "no built-in one has images of this shape"))
    dataset = fits[0] if fits else "DATASET"
    classes = len(plugins.datasets()[dataset].classes) if fits else 0
    ipc = len(images) // classes if classes and len(images) % classes == 0 else "N"
    given = {
        "name": "released",
        "dataset": dataset,
        "ipc": ipc,
        "file": file,
        **({"labels": labels} if labels else {}),
        **keys,
    }
    rows.append(("entry", "{" + ", ".join(f"{key}: {value}" for key, value in given.items()) + "}"))
    return rows


def _not_images(part: _Part, file: str) -> list[tuple[str, str]]:
    """The lines of a file that holds labels or a step size alone, as released sets have beside
    their images; none of any other.
    """
    value = part.images
    if part.labels is not None or not isinstance(value, Tensor):
        return []
    if value.numel() == 1 and value.dtype in (*_FLOATING, *_INTEGER):
        number = float(value.detach().reshape(()))
        return [
            ("images", "none in the file"),
            ("labels", "none in the file"),
            ("step size", f"{number:.6g}, if that is what its one number is"),
            ("entry", f"step_size: {file} in that of the images' file"),
        ]
    pixels = {known.channels * known.size**2 for known in plugins.datasets().values()}
    if value.ndim not in (1, 2) or (value.ndim == 2 and value.shape[1] in pixels):
        return []
    text, logits = _about_labels(value) if value.numel() <= 1 << 28 else (_shape(value), False)
    keys = f"labels: {file}" + (", labels_are: logits" if logits else "")
    return [
        ("images", "none in the file"),
        ("labels", text),
        ("entry", f"{keys} in that of the images' file"),
    ]


def _fits(images: Tensor, spec: dict[str, Any]) -> bool:
    told: list[str] = []
    return (
        _arranged(images, spec["channels"], spec["size"], told) is not None
        and len(images) % len(spec["classes"]) == 0
    )


def _about_labels(labels: Tensor) -> tuple[str, bool]:
    """What labels are, in words, and whether they look like logits."""
    if labels.ndim == 2 and labels.is_floating_point() and labels.shape[1] > 1 and labels.numel():
        wrong = synthetic.improper(labels)
        if wrong is None:
            return (
                f"{_shape(labels)} {_name(labels.dtype)}: probabilities of {labels.shape[1]} "
                "classes",
                False,
            )
        return (
            f"{_shape(labels)} {_name(labels.dtype)}: no probabilities ({wrong}); they look like "
            "logits",
            True,
        )
    if (
        labels.ndim in (1, 2)
        and labels.numel()
        and labels.layout == torch.strided
        and not labels.dtype.is_complex
    ):
        return (
            f"{_shape(labels)} {_name(labels.dtype)}, {float(labels.min()):g} to "
            f"{float(labels.max()):g}",
            False,
        )
    return f"{_shape(labels)} {_name(labels.dtype)}", False


def _by_channel(images: Tensor) -> str:
    if images.ndim != 4 or images.shape[1] != 3:
        return ""
    values = images.double()
    mean, std = values.mean((0, 2, 3)), values.std((0, 2, 3), correction=0)
    return f"; by channel {_row(mean.tolist())} and {_row(std.tolist())}"


def _row(values: Iterable[float]) -> str:
    return ", ".join(f"{value:.2f}" for value in values)


def _shape(tensor: Tensor) -> str:
    return "(" + ", ".join(map(str, tensor.shape)) + ")"


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
