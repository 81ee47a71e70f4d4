"""Images and labels as arrays: an npz or safetensors file, or a folder of npy files. Only headers
and labels are read here, without NumPy: the workflow is parsed by every job."""

import ast
import json
import os
import struct
import sys
import zipfile
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from distillery.datasets._listing import TEST, TRAIN, VALIDATION, Listing, existing, shown, some
from distillery.errors import UserError, hint

# The module beside this one that reads the images, once they are listed.
READER = "_stacked"
# What the arrays of each part are called, ours first.
NAMES = {
    "images": ("images", "train_images", "x_train", "X_train", "X", "x", "data"),
    "labels": ("labels", "train_labels", "y_train", "Y_train", "y", "Y", "targets", "target"),
    "val_images": ("val_images", "valid_images", "x_val", "X_val", "x_valid"),
    "val_labels": ("val_labels", "valid_labels", "y_val", "Y_val", "y_valid"),
    "test_images": ("test_images", "x_test", "X_test"),
    "test_labels": ("test_labels", "y_test", "Y_test"),
}
_PARTS = {"": TRAIN, "val_": VALIDATION, "test_": TEST}
# What numbers are called in npy and safetensors files, and by Python's arrays.
_TYPES = {
    "b1": "b", "u1": "B", "i1": "b", "u2": "H", "i2": "h", "u4": "I", "i4": "i", "u8": "Q",
    "i8": "q", "f2": "e", "f4": "f", "f8": "d",
}  # fmt: skip
_SAFETENSORS = {
    "BOOL": "b1", "U8": "u1", "I8": "i1", "U16": "u2", "I16": "i2", "U32": "u4", "I32": "i4",
    "U64": "u8", "I64": "i8", "F16": "f2", "F32": "f4", "F64": "f8",
}  # fmt: skip
# More than any header has.
_MOST_HEADER = 1 << 26


@dataclass(frozen=True)
class Array:
    """An array as its file describes it.

    Attributes:
        path: of the file.
        member: of a zip archive, the array's name; empty elsewhere.
        dtype: as NumPy writes it, such as ``<f4``.
        shape: of the array.
        fortran: whether its first axis varies fastest.
        offset: where in the file its bytes begin; ``None`` where they are compressed.
    """

    path: str
    member: str
    dtype: str
    shape: tuple[int, ...]
    fortran: bool
    offset: int | None


# What readers raise of a file that is not what its ending says.
_DAMAGED = (
    *(OSError, ValueError, KeyError, TypeError, SyntaxError, EOFError, struct.error),
    *(zipfile.BadZipFile, NotImplementedError, RecursionError),
)


class _UnfitError(UserError):
    """An array that is not what it should be; whose it is, is said by who knows."""


def scan(where: str, places: Mapping[str, str], settings: Mapping[str, Any]) -> Listing:
    """Read what the arrays are, and the labels.

    Args:
        where: the dataset's place in the config.
        places: ``path``, of the file or folder.
        settings: of the dataset: ``keys``, ``layout``, ``names``, ``channels``.

    Raises:
        UserError: it is no such file, an array is missing, or one does not fit the others.
    """
    at, path = f"{where}.path", places["path"]
    there = _arrays(at, path)
    named = _named(where, path, there, settings.get("keys", {}))
    files: list[str] = []
    values: list[Any] = []
    parts: list[str] = []
    images: dict[str, Array] = {}
    for prefix, part in _PARTS.items():
        pair = [named.get(f"{prefix}{each}") for each in ("images", "labels")]
        if pair == [None, None] and part != TRAIN:
            continue
        for each, key in zip(("images", "labels"), pair, strict=True):
            if key is None:
                raise _lacking(where, path, f"{prefix}{each}", there)
        image_key, label_key = map(str, pair)
        try:
            found = _labels(there[label_key])
        except _UnfitError as error:
            raise UserError(f"{at}: {shown(path)}: {label_key} {error}") from None
        picture = there[image_key]
        if len(picture.shape) in (3, 4) and not picture.shape[0]:
            without = f"; leave {image_key} and {label_key} out" if part != TRAIN else ""
            raise UserError(f"{at}: {shown(path)}: {image_key} holds no images{without}")
        if len(picture.shape) not in (3, 4) or not all(picture.shape):
            raise UserError(
                f"{at}: {shown(path)}: {image_key} has the shape {picture.shape}; images, height, "
                "width and, where there is more than one, channels are needed"
            )
        if picture.shape[0] != len(found):
            raise UserError(
                f"{at}: {shown(path)}: {image_key} holds {picture.shape[0]} images, and "
                f"{label_key} {len(found)} labels; each image needs one"
            )
        files += [f"{part}/{number}" for number in range(len(found))]
        values += found
        parts += [part] * len(found)
        images[part] = picture
    about = _about(where, images, settings)
    if TEST not in images and VALIDATION not in images:
        parts = [""] * len(parts)
    classes, labels = _classes(where, values, settings.get("names"))
    watched = sorted({os.path.basename(there[key].path) for key in named.values()})
    root = os.path.dirname(next(iter(images.values())).path)
    return Listing(root, files, classes, labels, parts, watched, about=about, arrays=images)


# ---- which arrays --------------------------------------------------------------------------------


def _arrays(at: str, path: str) -> dict[str, Array]:
    """Return the arrays of a file or a folder by their names."""
    found = os.path.expanduser(path)
    if os.path.isdir(found):
        names = sorted(name for name in os.listdir(found) if name.endswith(".npy"))
        if not names:
            raise UserError(f"{at}: the folder {shown(path)} holds no .npy file")
        readers = {name[:-4]: os.path.join(found, name) for name in names}
    else:
        found = existing(at, path, "file")
        kind = Path(found).suffix.lower()
        if kind not in (".npz", ".safetensors"):
            raise UserError(
                f"{at}: {shown(path)}: arrays come as .npz, .safetensors, or a folder of .npy files"
            )
        readers = {"": found}
    arrays: dict[str, Array] = {}
    for name, file in readers.items():
        try:
            if file.endswith(".npy"):
                with open(file, "rb") as opened:
                    arrays[name] = _npy(opened, file, "", opened.tell)
            elif file.lower().endswith(".npz"):
                arrays |= _npz(file)
            else:
                arrays |= _safetensors(file)
        except _UnfitError:
            raise
        except _DAMAGED as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise UserError(
                f"{at}: {shown(file)}: cannot be read: {reason}; was it copied to its end?"
            ) from error
    return arrays


def _npy(opened: IO[bytes], path: str, member: str, place: Any) -> Array:
    """Read the header of an npy file; ``place`` tells where its numbers begin, or ``None``."""
    begin = opened.read(8)
    if begin[:6] != b"\x93NUMPY":
        raise ValueError("it is no npy file")
    wide = begin[6] > 1
    (length,) = struct.unpack("<I" if wide else "<H", opened.read(4 if wide else 2))
    if length > _MOST_HEADER:
        raise ValueError("its header is damaged")
    header = ast.literal_eval(opened.read(length).decode("utf-8" if begin[6] > 2 else "latin1"))
    shape = tuple(int(side) for side in header["shape"])
    return Array(path, member, str(header["descr"]), shape, bool(header["fortran_order"]), place())


def _npz(path: str) -> dict[str, Array]:
    arrays: dict[str, Array] = {}
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if not info.filename.endswith(".npy"):
                continue
            with archive.open(info) as opened:
                stored = info.compress_type == zipfile.ZIP_STORED
                begins = _begins(path, info) if stored else None

                def place(opened: Any = opened, begins: int | None = begins) -> int | None:
                    return None if begins is None else begins + opened.tell()

                name = info.filename[:-4]
                arrays[name] = _npy(opened, path, info.filename, place)
    return arrays


def _begins(path: str, info: zipfile.ZipInfo) -> int:
    """Return where in an archive the bytes of a stored member begin."""
    with open(path, "rb") as opened:
        opened.seek(info.header_offset + 26)
        name, extra = struct.unpack("<HH", opened.read(4))
    return info.header_offset + 30 + name + extra


def _safetensors(path: str) -> dict[str, Array]:
    with open(path, "rb") as opened:
        (length,) = struct.unpack("<Q", opened.read(8))
        if length > _MOST_HEADER:
            raise ValueError("its header is damaged")
        header = json.loads(opened.read(length))
    return {
        name: Array(
            path,
            "",
            f"<{_SAFETENSORS[each['dtype']]}" if each["dtype"] in _SAFETENSORS else each["dtype"],
            tuple(each["shape"]),
            False,
            8 + length + each["data_offsets"][0],
        )
        for name, each in header.items()
        if name != "__metadata__"
    }


def _named(
    where: str, path: str, there: Mapping[str, Array], keys: Mapping[str, str]
) -> dict[str, str]:
    """Return what each of our arrays is called there."""
    for ours, theirs in keys.items():
        if theirs not in there:
            raise UserError(
                f"{where}.keys.{ours}: {shown(path)} has no array {theirs!r}; "
                f"{hint(theirs, there)}there are {some(there)}"
            )
    named = dict(keys)
    for ours, spellings in NAMES.items():
        found = next((each for each in spellings if each in there), None)
        if found is not None:
            named.setdefault(ours, found)
    return named


def _lacking(where: str, path: str, ours: str, there: Mapping[str, Array]) -> UserError:
    return UserError(
        f"{where}.path: {shown(path)} has no array {ours!r} or of a like name; there are "
        f"{some(there)}: say which by `keys: {{{ours}: …}}`"
    )


# ---- what they are -------------------------------------------------------------------------------


def _about(where: str, images: Mapping[str, Array], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return size, channels and layout of the images, which must be the same in all parts."""
    shapes = {part: each.shape[1:] for part, each in images.items()}
    shape = shapes[TRAIN]
    for part, other in shapes.items():
        if other != shape:
            raise UserError(
                f"{where}.path: the images of the part {part} are of shape {other}, those of "
                f"{TRAIN} {shape}"
            )
    for each in images.values():
        if each.dtype[1:] not in _TYPES:
            raise UserError(
                f"{where}.path: images of type {each.dtype}; whole or floating numbers are needed"
            )
    if len(shape) == 2:
        layout, size, channels = "nhw", list(shape), 1
    else:
        fits = [
            name
            for name, axis in (("nhwc", 2), ("nchw", 0))
            if 1 <= shape[axis] <= 4 and settings.get("layout", name) == name
        ]
        if len(fits) != 1:
            what = f"is {settings['layout']}" if "layout" in settings else "is the axis of channels"
            raise UserError(
                f"{where}.layout: which axis of {shape} {what}? Channels are 1 to 4; say nhwc "
                "where they come last, nchw where they come first"
            )
        (layout,) = fits
        size = list(shape[:2]) if layout == "nhwc" else list(shape[1:])
        channels = shape[2] if layout == "nhwc" else shape[0]
    asked = settings.get("channels", channels)
    if asked != channels and {asked, channels} != {1, 3}:
        raise UserError(
            f"{where}.channels: the images have {channels}, of which {asked} cannot be made; "
            "1 becomes 3 and 3 become 1"
        )
    if "size" not in settings and not all(8 <= side <= 1024 for side in size):
        raise UserError(
            f"{where}.path: images of {size[0]} x {size[1]} pixels; say by `size` what they shall "
            "become, 8 to 1024"
        )
    return {"size": size, "channels": channels, "layout": layout}


def _labels(held: Array) -> list[Any]:
    """Read the labels: whole numbers or texts.

    Raises:
        _UnfitError: they are of another type or shape, or no whole numbers.
    """
    shape = held.shape[:-1] if len(held.shape) == 2 and held.shape[1] == 1 else held.shape
    if len(shape) != 1:
        raise _UnfitError(f"has the shape {held.shape}; one label for each image is needed")
    order, kind = held.dtype[:1], held.dtype[1:]
    width = int(kind[1:]) if kind[1:].isdecimal() else 0
    size = width * 4 if kind[:1] == "U" else width
    if kind not in _TYPES and kind[:1] not in ("U", "S"):
        raise _UnfitError(f"is of type {held.dtype}; whole numbers or texts are needed")
    content = _bytes(held, shape[0] * size)
    if len(content) != shape[0] * size:
        raise _UnfitError("is cut short")
    if kind[:1] in ("U", "S"):
        code = "utf-8" if kind[:1] == "S" else f"utf-32-{'be' if order == '>' else 'le'}"
        try:
            return [
                content[at : at + size].decode(code).rstrip("\0")
                for at in range(0, len(content), size)
            ]
        except UnicodeDecodeError:
            raise _UnfitError("holds texts that are not UTF-8") from None
    numbers = list(_numbers(content, _TYPES[kind], order))
    for row, number in enumerate(numbers):
        if number != number or number in (float("inf"), float("-inf")) or int(number) != number:
            raise _UnfitError(f"is {number:g} for image {row}; labels are whole numbers or texts")
    return [int(number) for number in numbers]


def _bytes(held: Array, count: int) -> bytes:
    if held.member:
        with zipfile.ZipFile(held.path) as archive, archive.open(held.member) as opened:
            _npy(opened, held.path, held.member, lambda: None)
            return opened.read(count)
    with open(held.path, "rb") as opened:
        opened.seek(held.offset or 0)
        return opened.read(count)


def _numbers(content: bytes, code: str, order: str) -> Iterator[float] | Sequence[float]:
    if code == "e":
        return (number for (number,) in struct.iter_unpack(f"{order}e", content))
    numbers = array(code, content)
    if order in "<>" and (order == "<") != (sys.byteorder == "little"):
        numbers.byteswap()
    return numbers


def _classes(where: str, values: list[Any], names: list[str] | None) -> tuple[list[str], list[int]]:
    """Return the classes in the order of the labels, and the class of each image."""
    different = sorted(set(values), key=lambda value: (isinstance(value, str), value))
    if names is None:
        classes = [str(value) for value in different]
    else:
        if len(set(names)) != len(names):
            raise UserError(f"{where}.names: a name stands twice; each class needs its own")
        numbers = [value for value in different if not isinstance(value, str)]
        if len(numbers) != len(different):
            raise UserError(f"{where}.names: the labels are texts, which are the names")
        if numbers[0] < 0 or numbers[-1] >= len(names):
            raise UserError(
                f"{where}.names: has {len(names)}, for labels from {numbers[0]} to {numbers[-1]}; "
                "name a class for each number from 0 on"
            )
        classes = [names[number] for number in numbers]
    number = {value: index for index, value in enumerate(different)}
    return classes, [number[value] for value in values]
