"""Find in files the images of sets and the labels that go with them."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from distillery.errors import UserError
from distillery.sets.released.contents import Contents, shown
from distillery.sets.released.files import load
from distillery.sets.released.numbers import ndim
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


@dataclass
class Part:
    """Images and labels as a file holds them; nothing else is known of them yet."""

    images: Any
    labels: Any
    step_size: Any = None
    # Where each stands, for messages; `file` is what the file of the images holds.
    images_at: str = ""
    labels_at: str = ""
    file: Contents | None = None


def find(entry: dict[str, Any], sets: int, where: str) -> list[list[Part]]:
    """Find at least ``sets`` sets in the files of an entry; each set has one part per file.

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
    shared = load(beside[0], where).value if len(beside) == 1 else None
    parts = []
    for number, file in enumerate(files):
        one = beside[number] if len(beside) == len(files) else None
        parts += _one_file(file, one, 1, where, labels_elsewhere=shared is not None)[:1]
    if shared is not None:
        parts[0].labels, parts[0].labels_at = shared, f"{where}: {beside[0]}"
    return [parts]


def _one_file(
    file: str, beside: str | None, sets: int, where: str, labels_elsewhere: bool = False
) -> list[Part]:
    contents = load(file, where)
    at = f"{where}: {file}"
    parts = pairs(contents.value, at)
    if beside is not None or labels_elsewhere:
        if any(part.labels is not None for part in parts):
            what = (
                "is a dictionary, as a res_*.pt is, which"
                if isinstance(contents.value, dict)
                else "holds images with labels, and"
            )
            raise UserError(f"{at}: {what} has labels of its own; drop `labels`")
        labels = None if beside is None else bare_labels(load(beside, where).value)
        parts = [
            Part(
                parts[0].images,
                labels,
                parts[0].step_size,
                labels_at=f"{where}: {beside}" if beside else "",
            )
        ]
    elif len(parts) == 1 and parts[0].labels is None:
        if parts[0].images is contents.value:
            what = (
                "is one tensor, as an images_*.pt is"
                if isinstance(contents.value, Tensor)
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
        part.images_at, part.labels_at = at + place, part.labels_at or at + place
        part.file = contents
    return parts


def pairs(value: Any, at: str) -> list[Part]:
    """Pair images with labels, a pair per set; labels are ``None`` where a file holds images alone.

    Raises:
        UserError: no images in it can be distinguished from the rest.
    """
    if isinstance(value, Tensor):
        return [Part(value, None)]
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
        return [Part(value[images], value[labels], None if step is None else value[step])]
    if isinstance(value.get("data"), (list, tuple)):
        return _listed(value["data"], at, "`data` is")
    if images is not None:
        return [Part(value[images], None)]
    by_class = _by_class(value)
    if by_class is not None:
        return [by_class]
    keys = (
        ", ".join(f"`{shown(key, 30)}`" for key in list(value)[:5] if isinstance(key, str))
        or "none"
    )
    raise UserError(f"{at}: has no key for images with one for labels (its keys: {keys}); {NEEDED}")


def _listed(value: list[Any] | tuple[Any, ...], at: str, what: str) -> list[Part]:
    """Pair what a list holds: one pair, a pair per item, or images alone."""
    if _is_pair(value):
        return [Part(*value)]
    if value and all(isinstance(item, dict) for item in value):
        return [part for item in value for part in pairs(item, at)[:1]]
    if all(
        isinstance(item, (list, tuple)) and len(item) in (2, 3) and ndim(item[1]) < 3
        for item in value
    ):
        return [Part(*item) for item in value]
    if len(value) > 1 and len({ndim(item) for item in value}) == 1 and ndim(value[0]) in (2, 3):
        return [Part(value, None)]
    raise UserError(f"{at}: {what} not a list of (images, labels) pairs; {NEEDED}")


def _is_pair(value: Any) -> bool:
    """Tell by numbers of dimensions whether images come first and labels second (and then a step
    size)."""
    if len(value) not in (2, 3) or (len(value) == 3 and ndim(value[2]) != 0):
        return False
    first, second = ndim(value[0]), ndim(value[1])
    return (
        first >= 2
        and second <= 2
        and (first > second or isinstance(value[0], Tensor))
        and second >= 0
    )


def _by_class(value: dict[Any, Any]) -> Part | None:
    """Pair the images in a dictionary from the number of each class to its images."""
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
    return Part(
        images,
        [number for number, item in enumerate(images) for _ in range(min(len(item), 1 << 16))],
    )


def bare_labels(value: Any) -> Any:
    """Take the labels out of a file that holds them alone."""
    names = (
        {key.lower(): key for key in value if isinstance(key, str)}
        if isinstance(value, dict)
        else {}
    )
    key = next((names[name] for name in LABELS if name in names), None)
    return value if key is None else value[key]
