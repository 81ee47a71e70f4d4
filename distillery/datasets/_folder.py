"""Images in one folder for each class, which may lie below train, val and test."""

import os
from collections.abc import Callable, Mapping
from typing import Any

from distillery.datasets._listing import (
    PARTS,
    TEST,
    TRAIN,
    VALIDATION,
    Listing,
    composed,
    count,
    existing,
    is_image,
    natural,
    some,
    text,
)
from distillery.errors import UserError

# The module beside this one that reads the images, once they are listed.
READER = "_files"
# What systems leave in folders unasked; names that begin with a dot likewise.
_HIDDEN = frozenset(("thumbs.db", "desktop.ini", "__macosx", "@eadir"))


class _Found:
    """What a walk over folders comes by.

    Attributes:
        images: the path of each, from the root, with ``/`` between folders.
        foreign, broken, hidden: files that are no images, links that lead nowhere or back, and what
            is not looked at.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self.images: list[str] = []
        self.foreign: list[str] = []
        self.broken: list[str] = []
        self.hidden: list[str] = []

    def walk(self, folder: str, above: tuple[tuple[int, int], ...] = ()) -> None:
        """Look through a folder, given from the root, and those in it.

        Args:
            folder: where to look.
            above: the folders that it lies in: a link to one of them would never end.

        Raises:
            UserError: a folder cannot be read.
        """
        path = os.path.join(self.root, folder)
        try:
            status = os.stat(path)
            here = (status.st_dev, status.st_ino)
            if here in above:
                self.broken.append(folder)
                return
            inner = []
            with os.scandir(path) as entries:
                for entry in entries:
                    name = f"{folder}/{entry.name}" if folder else entry.name
                    if is_hidden(entry.name):
                        self.hidden.append(name)
                    elif _is(entry.is_dir):
                        inner.append(name)
                    elif not _is(entry.is_file):
                        # A link that leads nowhere; or a socket, a pipe.
                        self.broken.append(name)
                    else:
                        (self.images if is_image(entry.name) else self.foreign).append(name)
        except OSError as error:
            raise UserError(f"{path}: cannot be read: {error.strerror}") from error
        for name in inner:
            self.walk(name, (*above, here))

    def notes(self) -> list[str]:
        """Say what was left out."""
        parts = [
            (self.foreign, "file", "left out, for they are no images by the ending of their names"),
            (self.broken, "link", "left out, for they lead nowhere, or back to where they lie"),
            (self.hidden, "hidden file", "left out"),
        ]
        return [
            f"{count(len(names), what)} {why}: {some(sorted(names, key=natural))}"
            for names, what, why in parts
            if names
        ]


def _is(question: Callable[[], bool]) -> bool:
    try:
        return question()
    except OSError:  # a link to itself
        return False


def is_hidden(name: str) -> bool:
    """Return whether a file or folder is what a system leaves unasked."""
    return name.startswith(".") or name.lower() in _HIDDEN


def scan(where: str, places: Mapping[str, str], settings: Mapping[str, Any]) -> Listing:
    """List the images of a folder.

    Args:
        where: the dataset's place in the config.
        places: ``path``, of the folder.
        settings: of the dataset; none is read.

    Raises:
        UserError: there is no such folder, it holds no folders of images, or one cannot be read.
    """
    path = places["path"]
    root = existing(f"{where}.path", path, "folder")
    found = _Found(root)
    found.walk("")
    folders = _folders(root)
    named = _parts(root, folders)
    files, classes, parts, loose = [], [], [], []
    for file in found.images:
        first, *rest = composed(file).split("/")
        if named and first not in named:
            loose.append(file)
            continue
        names = rest if named else [first, *rest]
        if len(names) < 2:
            loose.append(file)
            continue
        files.append(file)
        classes.append(names[0])
        parts.append(named.get(first, ""))
    if not files:
        raise _without_classes(where, path, found, loose, folders)
    for part in sorted(set(named) - {composed(file).partition("/")[0] for file in files}):
        raise UserError(
            f"{where}.path: the part {path}/{part} holds no images in folders of classes; put some "
            "there, or remove it"
        )
    notes = found.notes()
    if loose:
        place = f"the folders {some(named)}" if named else "the folders of the classes"
        notes.append(
            f"{count(len(loose), 'image')} left out, for they lie outside {place}: "
            f"{some(sorted(loose, key=natural))}"
        )
    inner = {name for part in named for name in _folders(os.path.join(root, part))}
    empty = {composed(name) for name in (inner if named else folders)} - set(classes)
    if empty:
        notes.append(
            f"{count(len(empty), 'folder')} without images left out, so no class: "
            f"{some(sorted(empty, key=natural))}"
        )
    return Listing.of_files(
        root, files, lambda row: text(classes[row], f"{where}.path"), parts, notes
    )


def _folders(path: str) -> list[str]:
    with os.scandir(path) as entries:
        return [entry.name for entry in entries if entry.is_dir() and not is_hidden(entry.name)]


def _parts(root: str, folders: list[str]) -> dict[str, str]:
    """Return the folders that are parts, with the part that each is; empty where the folders are
    classes. They are parts where one is the training part, another is one too or it is alone, and
    each holds folders, or nothing: a class may be called train."""
    named = {name: PARTS[name.lower()] for name in folders if name.lower() in PARTS}
    parts = set(named.values())
    if TRAIN not in parts or not (parts & {TEST, VALIDATION} or len(folders) == 1):
        return {}
    images = [name for name in named if not _folders(os.path.join(root, name))]
    return {} if any(_visible(os.path.join(root, name)) for name in images) else named


def _visible(path: str) -> list[str]:
    return [name for name in os.listdir(path) if not is_hidden(name)]


def _without_classes(
    where: str, path: str, found: _Found, loose: list[str], folders: list[str]
) -> UserError:
    """Return why a folder is no dataset."""
    if loose:
        what = (
            f"{count(len(loose), 'image')} and no folders of classes: put the images of each class "
            "into a folder of its name, or name the labels in a table (`kind: table`)"
        )
    elif found.foreign:
        what = (
            f"no images: {count(len(found.foreign), 'file')} of other kinds "
            f"({some(sorted(found.foreign, key=natural))}); JPEG, PNG, WebP, BMP, GIF and TIFF "
            "are read"
        )
    else:
        what = "no images" + (
            f": the folders {some(folders)} are empty"
            if folders
            else "; put those of each class into a folder of its name"
        )
    return UserError(f"{where}.path: {path} holds {what}")
