"""Decode a dataset of a user's own into the arrays that every job reads, and sum it up."""

import hashlib
import importlib
import threading
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from distillery.datasets import _parts
from distillery.datasets._decode import UnreadableError
from distillery.datasets._listing import NAMED, TEST, TRAIN, VALIDATION, Listing, count, shown, some
from distillery.errors import UserError
from distillery.images.dataset import TENSORS, Arrays, check, labels_type
from distillery.limits import plain, sides

# Images that a thread decodes between two reports of progress.
CHUNK = 32
# A pixel's place among the digits of a mean: what follows is below one pixel of a million images.
DIGITS = 6

# Reads the image of a number in the listing: (C, H, W) uint8.
Reader = Callable[[int], np.ndarray]


@dataclass
class _Part:
    """The images of one part while they are decoded.

    Attributes:
        rows: of each image, its number in the listing.
        labels: of each image.
        images: (N, C, H, W) uint8.
        content: of each image, a digest of its pixels; ``None`` where it could not be read.
        shades: (C, 256) int64, how often each value occurs in each channel.
        unreadable: the numbers in the listing of images that cannot be read, and why.
    """

    rows: list[int]
    labels: np.ndarray
    images: np.ndarray
    content: list[bytes | None]
    shades: np.ndarray
    unreadable: dict[int, str] = field(default_factory=dict)


def prepare(
    name: str,
    places: Mapping[str, str],
    settings: Mapping[str, Any],
    *,
    listing: str,
    workers: int,
    progress: Callable[[int], Callable[[int], Any]],
    log: Callable[[str], Any] = lambda line: None,
) -> Arrays:
    """Decode a dataset. What is returned does not depend on the number of threads.

    Args:
        name: of the dataset.
        places: where it lies: ``path`` and, of a table's images, ``images``.
        settings: of the dataset, as the config's models give them.
        listing: the digest of what lay there when the run was planned.
        workers: threads.
        progress: given the number of images, returns what is called with how many more are done.
        log: called with one line for each thing that a user should know.

    Raises:
        UserError: it changed since the run was planned, an image cannot be read (unless
            ``on_error`` is ``skip``), or a class is left without training images.
    """
    where = f"datasets.{name}"
    kind: Any = importlib.import_module(f"distillery.datasets._{settings['kind']}")
    found: Listing = kind.scan(where, places, settings)
    if found.digest() != listing:
        raise UserError(
            f"{where}: {places['path']} changed since the run began: run snakemake again"
        )
    planned = _parts.plan(where, found, settings)
    chosen = _parts.draw(found, planned, settings["seed"])
    facts = {**found.about, **settings}
    size, channels = sides(facts["size"]), facts["channels"]
    # What lies beside the images is reported, but is no fact of theirs.
    for note in found.notes:
        log(f"{name}: {note}")
    notes = list(planned.notes)

    # The training part, in which what is held out for validation comes last.
    rows = {"train": [*chosen[TRAIN], *chosen[VALIDATION]], "test": chosen[TEST]}
    parts = {
        part: _empty(each, channels, size, len(planned.classes)) for part, each in rows.items()
    }
    reads: Any = importlib.import_module(f"distillery.datasets.{kind.READER}")
    read: Reader = reads.reader(where, found, settings, size, channels)
    done = progress(sum(map(len, rows.values())))
    with warnings.catch_warnings():
        # Pillow warns of images that are larger than most; what is too large is refused by us.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        for part in parts.values():
            _decode_all(part, read, workers, done)
    notes += _sort_out(where, parts, found, settings["on_error"])
    held_out = {row for row, _ in chosen[VALIDATION]}
    notes += _repeated(parts, found)
    for note in notes:
        log(f"{name}: {note}")
    return _arrays(name, settings, planned.classes, parts, held_out, notes)


def _empty(
    rows: list[tuple[int, int]], channels: int, size: tuple[int, int], classes: int
) -> _Part:
    return _Part(
        rows=[row for row, _ in rows],
        labels=np.array([label for _, label in rows], labels_type(classes)),
        images=np.empty((len(rows), channels, *size), np.uint8),
        content=[None] * len(rows),
        shades=np.zeros((channels, 256), np.int64),
    )


def _decode_all(part: _Part, read: Reader, workers: int, done: Callable[[int], Any]) -> None:
    """Decode the images of a part in threads, each into its place: Pillow's decoders run side by
    side. An interrupt ends after the images on their way."""
    stop, lock = threading.Event(), threading.Lock()

    def chunk(first: int) -> int:
        places = range(first, min(first + CHUNK, len(part.rows)))
        for place in places:
            if stop.is_set():
                break
            try:
                image = part.images[place] = read(part.rows[place])
            except UnreadableError as error:
                part.unreadable[part.rows[place]] = str(error)
                continue
            part.content[place] = hashlib.blake2b(part.images[place], digest_size=16).digest()
            counted = [np.bincount(channel.ravel(), minlength=256) for channel in image]
            with lock:
                part.shades += counted
        return len(places)

    with ThreadPoolExecutor(workers) as pool:
        try:
            for number in pool.map(chunk, range(0, len(part.rows), CHUNK)):
                done(number)
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise


def _sort_out(where: str, parts: Mapping[str, _Part], found: Listing, on_error: str) -> list[str]:
    """Take images that cannot be read out of their parts, and say which.

    Raises:
        UserError: there are such, and ``on_error`` is ``fail``.
    """
    reasons = {row: why for part in parts.values() for row, why in part.unreadable.items()}
    if not reasons:
        return []
    lines = [f"{shown(found.files[row])} ({why})" for row, why in sorted(reasons.items())]
    number = count(len(lines), "image")
    if on_error == "fail":
        more = f" and {len(lines) - NAMED} more" if len(lines) > NAMED else ""
        raise UserError(
            f"{where}: {number} cannot be read: {', '.join(lines[:NAMED])}{more}; mend or remove "
            "them, or leave such images out by `on_error: skip`"
        )
    for part in parts.values():
        _compact(part)
    return [f"{number} left out, for they cannot be read: {', '.join(lines)}"]


def _compact(part: _Part) -> None:
    """Close the gaps of images that could not be read, in place: a copy might not fit."""
    kept = [place for place, row in enumerate(part.rows) if row not in part.unreadable]
    for new, old in enumerate(kept):
        if new != old:
            part.images[new] = part.images[old]
    part.images = part.images[: len(kept)]
    part.labels = part.labels[kept]
    part.rows = [part.rows[place] for place in kept]
    part.content = [part.content[place] for place in kept]


def _repeated(parts: Mapping[str, _Part], found: Listing) -> list[str]:
    """Say which images are tested on that were learned from, and which stand in two classes."""
    first: dict[bytes, tuple[int, int]] = {}
    train, test = parts["train"], parts["test"]
    classes = []
    for row, label, content in zip(train.rows, train.labels.tolist(), train.content, strict=True):
        assert content is not None
        other = first.setdefault(content, (row, label))
        if other[1] != label:
            classes.append(f"{found.files[other[0]]} = {found.files[row]}")
    both = [
        f"{found.files[first[content][0]]} = {found.files[row]}"
        for row, content in zip(test.rows, test.content, strict=True)
        if content in first
    ]
    notes = []
    if both:
        notes.append(
            f"{count(len(both), 'test image')} of the same pixels as a training image, so that "
            f"test accuracies are too high: {some(both)}"
        )
    if classes:
        notes.append(
            f"{count(len(classes), 'training image')} of the same pixels as one of another class: "
            f"{some(classes)}"
        )
    return notes


def _arrays(
    name: str,
    settings: Mapping[str, Any],
    classes: tuple[str, ...],
    parts: Mapping[str, _Part],
    held_out: set[int],
    notes: list[str],
) -> Arrays:
    """Sum a dataset up.

    Raises:
        UserError: a class has no training images that could be read, or nothing is left to test on.
    """
    train, test = parts["train"], parts["test"]
    each = (train.images, train.labels, test.images, test.labels)
    arrays: dict[str, np.ndarray] = dict(zip(TENSORS, each, strict=True))
    counts = {
        part: np.bincount(each.labels, minlength=len(classes)).tolist()
        for part, each in parts.items()
    }
    lacking = [name for name, number in zip(classes, counts["train"], strict=True) if not number]
    if lacking or not len(test.labels):
        what = f"training images of {some(lacking)}" if lacking else "test images"
        raise UserError(f"datasets.{name}: none of the {what} can be read")
    _, channels, height, width = train.images.shape
    mean, std, flat = _moments(train.shades)
    if flat:
        notes.append(f"all training pixels of channel {some(flat)} are equal: they say nothing")
    spec = {
        "name": name,
        "channels": channels,
        "size": plain((height, width)),
        "classes": list(classes),
        "train": len(train.labels),
        "validation": sum(row in held_out for row in train.rows),
        "test": len(test.labels),
        "smallest_class": min(counts["train"]),
        "counts": counts,
        "mean": mean,
        "std": std,
        "licence": settings["licence"],
        "home": settings["home"],
        "horizontal_flip": settings.get("horizontal_flip", channels >= 3),
        "kind": settings["kind"],
        "notes": notes,
    }
    check(spec, arrays)
    digests = {
        part: hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()
        for part, array in arrays.items()
    }
    return Arrays(spec=spec, **arrays, source=settings["kind"], digests=digests)


def _moments(shades: np.ndarray) -> tuple[list[float], list[float], list[str]]:
    """Return the mean and the standard deviation of each channel, of pixels in [0, 1], from how
    often each value occurs; and the numbers of channels that have one value, whose deviation is
    taken as 1."""
    mean, std, flat = [], [], []
    values = np.arange(256)
    for channel, counted in enumerate(shades):
        # Whole numbers: the same to the last bit in whatever order images came.
        total, first, second = (int((counted * values**power).sum()) for power in range(3))
        deviation = (total * second - first**2) ** 0.5 / total / 255
        if not deviation:
            flat.append(str(channel))
        mean.append(round(first / total / 255, DIGITS))
        std.append(round(deviation, DIGITS) or 1.0)
    return mean, std, flat
