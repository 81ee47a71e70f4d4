"""What lies in a dataset of a user's own, found without opening an image. Imports no torch, for the
workflow is parsed by every job."""

import hashlib
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from distillery.errors import UserError

TRAIN, VALIDATION, TEST = "train", "validation", "test"
# How parts are called in the wild, in lower case.
PARTS = {
    **dict.fromkeys(("train", "training"), TRAIN),
    **dict.fromkeys(("val", "valid", "validation", "dev"), VALIDATION),
    **dict.fromkeys(("test", "testing"), TEST),
}
# What is decoded, by the ending of a file's name in lower case.
ENDINGS = frozenset(["jpg", "jpeg", "jpe", "jfif", "png", "webp", "bmp", "gif", "tif", "tiff"])
# How many names a message lists.
NAMED = 5


@dataclass
class Listing:
    """The images of a dataset, as they lie there.

    Attributes:
        root: the folder that ``files`` start from.
        files: of each image, with ``/`` between folders, in an order that does not depend on how a
            file system lists them. Where many images lie in one file: its key and their number.
        classes: the names found, in natural order.
        labels: of each image, the number of its class among these.
        parts: of each image ``train``, ``validation`` or ``test``; empty where nothing says so.
        watched: the files, from ``root``, whose size and time of change decide what the images are:
            as the system spells them and, where each image is a file of its own, in the order of
            ``files``.
        about: what is known of the images: of arrays ``size``, ``channels`` and ``layout``.
        arrays: of each part the array that holds its images, where arrays do.
        notes: what a user should know, a sentence each.
    """

    root: str
    files: list[str]
    classes: list[str]
    labels: list[int]
    parts: list[str]
    watched: list[str]
    about: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of_files(
        cls,
        root: str,
        files: list[str],
        label: Callable[[int], str],
        parts: list[str],
        notes: list[str],
    ) -> "Listing":
        """List images that are each a file of its own, in the order of their composed names.

        Args:
            root: the folder that ``files`` start from.
            files: as the system spells them.
            label: gives the name of the class of file number n.
            parts: of each file.
            notes: what a user should know.
        """
        order = sorted(range(len(files)), key=lambda row: composed(files[row]))
        classes, labels = numbered(label(row) for row in order)
        watched = [files[row] for row in order]
        return cls(
            root=root,
            files=[composed(file) for file in watched],
            classes=classes,
            labels=labels,
            parts=[parts[row] for row in order],
            watched=watched,
            notes=notes,
        )

    def digest(self) -> str:
        """Return the SHA-256 (hex) of the images' names, labels and parts, and of the names, sizes
        and times of change of the files that hold them.

        The order in which they are listed, and where the folder lies, do not count.

        Raises:
            UserError: a file is gone.
        """
        rows = sorted(
            f"{file}\0{self.classes[label]}\0{part}\n"
            for file, label, part in zip(self.files, self.labels, self.parts, strict=True)
        )
        total = hashlib.sha256("".join(rows).encode("utf-8", "surrogateescape"))
        lines = []
        for file in self.watched:
            path = os.path.join(self.root, file)
            try:
                status = os.stat(path)
            except OSError as error:
                raise UserError(f"{shown(path)}: cannot be read: {error.strerror}") from error
            lines.append(f"{composed(file)}\0{status.st_size}\0{status.st_mtime_ns}\n")
        total.update("".join(sorted(lines)).encode("utf-8", "surrogateescape"))
        return total.hexdigest()


def shown(name: str) -> str:
    """Return a file's name as a message has it: what cannot be printed is escaped."""
    return name if name.isprintable() else ascii(name)


def some(names: Iterable[str]) -> str:
    """List the first few of many names."""
    names = list(names)
    more = len(names) - NAMED
    return ", ".join(map(shown, names[:NAMED])) + (f" and {more} more" if more > 0 else "")


def count(number: int, noun: str) -> str:
    """Count things: 1 file, 2 files, 2 classes."""
    return f"{number} {noun}{'' if number == 1 else 'es' if noun.endswith('s') else 's'}"


def natural(name: str) -> list[tuple[int, int | str]]:
    """Sort by this: numbers in names count as numbers, so that ``class10`` comes after
    ``class2``."""
    parts = re.split(r"([0-9]+)", name)
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in parts]


def composed(name: str) -> str:
    """Return a name in Unicode's composed form: systems write one name in two ways."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def is_image(name: str) -> bool:
    """Return whether a file's name ends as an image's does."""
    return name.rpartition(".")[2].lower() in ENDINGS


def text(name: str, where: str) -> str:
    """Return a class's name.

    Raises:
        UserError: it is not text that a header could hold.
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        raise UserError(f"{where}: the name {name!a} is not text in UTF-8; rename it") from None
    return name


def numbered(names: Iterable[str]) -> tuple[list[str], list[int]]:
    """Return the different names in natural order, and of each name its number among them."""
    names = list(names)
    different = sorted(set(names), key=natural)
    number = {name: index for index, name in enumerate(different)}
    return different, [number[name] for name in names]


def existing(where: str, path: str, what: str) -> str:
    """Return a path with ``~`` read as the home folder.

    Args:
        where: the place in the config.
        path: as the config has it.
        what: ``folder`` or ``file``; which of them it must be.

    Raises:
        UserError: nothing is there, or something else.
    """
    found = os.path.expanduser(path)
    there = os.path.isdir(found) if what == "folder" else os.path.isfile(found)
    if there:
        return found
    if not os.path.lexists(found):
        raise UserError(f"{where}: there is no {what} {shown(path)} (looked for {_full(found)})")
    if not os.path.exists(found):
        raise UserError(f"{where}: {shown(path)} is a link that leads nowhere")
    other = "a folder" if os.path.isdir(found) else "a file"
    raise UserError(f"{where}: {shown(path)} is {other}; a {what} is needed")


def _full(path: str) -> str:
    return shown(os.path.abspath(path))


# Where a dataset lies, which is no part of what it is.
PLACES = ("path", "images")


def settings_of(block: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a dataset's block in the config decides its images: not where they lie, nor
    how it is called."""
    return {key: value for key, value in block.items() if key not in (*PLACES, "title")}


def places_of(block: Mapping[str, Any]) -> dict[str, str]:
    """Return where a dataset lies; empty texts for what its block does not say."""
    return {key: block.get(key, "") for key in PLACES}
