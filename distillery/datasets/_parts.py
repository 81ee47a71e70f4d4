"""Which images of a dataset of a user's own are learned from, held out and tested on. Imports no
torch: how many there are is known where a config is read, and which when the images are."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from distillery.datasets._listing import PARTS, TEST, TRAIN, VALIDATION, Listing, count, some
from distillery.errors import UserError, hint

# The share that is tested on where neither the data nor the config say another.
TEST_SHARE = 0.2


@dataclass(frozen=True)
class Plan:
    """How many images of each class each part has.

    Attributes:
        classes: the names, in the order of the labels.
        members: of each class, the numbers of its images in the listing, by the part that the data
            say (empty where they say none).
        shares: of each class, how many images ``train``, ``validation`` and ``test`` have before
            any limit.
        counts: likewise, with the limits.
        notes: what a user should know, a sentence each.
    """

    classes: tuple[str, ...]
    members: list[dict[str, list[int]]]
    shares: list[dict[str, int]]
    counts: list[dict[str, int]]
    notes: list[str]

    def total(self, part: str) -> int:
        """Return how many images a part has."""
        return sum(counts[part] for counts in self.counts)

    def smallest(self, *parts: str) -> int:
        """Return how many images these parts have together of the class that has fewest."""
        return min(sum(counts[part] for part in parts) for counts in self.counts)


def plan(where: str, listing: Listing, settings: Mapping[str, Any]) -> Plan:
    """Work out the classes of a dataset and how many images each has.

    Args:
        where: the dataset's place in the config.
        listing: what lies there.
        settings: of the dataset: ``classes``, ``test``, ``validation``, ``per_class``,
            ``test_per_class``, ``longtail``.

    Raises:
        UserError: a class is unknown, has no training image, or is the only one; a part is empty;
            or a share is asked for that the data have as a part.
    """
    classes, renumbered = _classes(where, listing, settings.get("classes"))
    members: list[dict[str, list[int]]] = [{} for _ in classes]
    for row, (label, part) in enumerate(zip(listing.labels, listing.parts, strict=True)):
        number = renumbered[label]
        if number is not None:
            members[number].setdefault(part, []).append(row)
    notes = []
    given = {part for parts in members for part in parts}
    if VALIDATION in given and TEST not in given:
        # As ImageNet and its like come, whose test images have no labels.
        notes.append("there is no test part: the validation part is tested on")
        for parts in members:
            if VALIDATION in parts:
                parts[TEST] = parts.pop(VALIDATION)
        given = given - {VALIDATION} | {TEST}
    for part in (TEST, VALIDATION):
        if part in given and part in settings:
            raise UserError(
                f"{where}.{part}: the data have a {part} part of their own; leave the key out"
            )
    shares = [_shares(parts, given, settings) for parts in members]
    _check(where, classes, members, shares)
    untested = [name for name, each in zip(classes, shares, strict=True) if not each[TEST]]
    if untested:
        notes.append(f"{count(len(untested), 'class')} without test images: {some(untested)}")
    return Plan(classes, members, shares, _limited(shares, settings), notes)


def _classes(
    where: str, listing: Listing, wanted: list[str] | dict[str, str] | None
) -> tuple[tuple[str, ...], list[int | None]]:
    """Return the names of the classes, and of each class that was found its new number, ``None``
    where it is left out."""
    if isinstance(wanted, list):
        twice = [name for name, times in Counter(wanted).items() if times > 1]
        if twice:
            raise UserError(f"{where}.classes: {some(twice)} stands twice; name each class once")
    chosen = listing.classes if wanted is None else wanted
    renamed = dict(chosen) if isinstance(chosen, dict) else {name: name for name in chosen}
    for name in renamed:
        if name not in listing.classes:
            raise UserError(
                f"{where}.classes: there is no class {name!r} among the data; "
                f"{hint(name, listing.classes)}there are {some(listing.classes)}"
            )
    classes = tuple(dict.fromkeys(renamed.values()))
    if len(classes) < 2:
        if not classes:
            raise UserError(
                f"{where}.classes: must not be empty; leave the key out for all classes"
            )
        part = PARTS.get(classes[0].lower())
        alone = f"; without a part train beside it, {classes[0]} is no part" if part else ""
        raise UserError(f"{where}: has one class, {classes[0]!r}; two or more are needed{alone}")
    numbers = {name: number for number, name in enumerate(classes)}
    return classes, [
        numbers[renamed[name]] if name in renamed else None for name in listing.classes
    ]


def _share(number: int, share: float) -> int:
    """Return how many of ``number`` images a share is, to the nearest; one is always left."""
    return max(0, min(int(share * number + 0.5), number - 1))


def _shares(
    parts: Mapping[str, list[int]], given: set[str], settings: Mapping[str, Any]
) -> dict[str, int]:
    """Count the images of one class in each part, before any limit."""
    left = len(parts.get("", ())) + len(parts.get(TRAIN, ()))
    counts = {part: len(parts.get(part, ())) for part in (VALIDATION, TEST)}
    if TEST not in given:
        counts[TEST] = _share(left, settings.get("test", TEST_SHARE))
        left -= counts[TEST]
    if VALIDATION not in given and "validation" in settings:
        counts[VALIDATION] = _share(left, settings["validation"])
        left -= counts[VALIDATION]
    return {TRAIN: left, **counts}


def _check(
    where: str,
    classes: tuple[str, ...],
    members: list[dict[str, list[int]]],
    shares: list[dict[str, int]],
) -> None:
    lacking = [name for name, each in zip(classes, shares, strict=True) if not each[TRAIN]]
    if lacking:
        number = classes.index(lacking[0])
        there = ", ".join(f"{len(rows)} in {part}" for part, rows in members[number].items())
        one = len(lacking) == 1
        raise UserError(
            f"{where}: {count(len(lacking), 'class')} "
            f"{'has' if one else 'have'} no training images: {some(lacking)} "
            f"({lacking[0]}: {there}); add some, or list the other classes under `classes`"
        )
    if not any(each[TEST] for each in shares):
        raise UserError(
            f"{where}.test: leaves no image of any class to test on; the largest has "
            f"{max(sum(each.values()) for each in shares)}: raise the share, or add images"
        )


def _limited(shares: list[dict[str, int]], settings: Mapping[str, Any]) -> list[dict[str, int]]:
    """Apply the limits of training and test images."""
    limited = [dict(each) for each in shares]
    for each in limited:
        each[TRAIN] = min(each[TRAIN], settings.get("per_class", each[TRAIN]))
        each[TEST] = min(each[TEST], settings.get("test_per_class", each[TEST]))
    if "longtail" in settings:
        # As CIFAR-LT: n_k = n_0 / factor^(k / (K - 1)).
        largest = max(each[TRAIN] for each in limited)
        for number, each in enumerate(limited):
            falls = settings["longtail"] ** (number / (len(limited) - 1))
            each[TRAIN] = min(each[TRAIN], max(1, int(largest / falls)))
    return limited


def draw(listing: Listing, drawn: Plan, seed: int) -> dict[str, list[tuple[int, int]]]:
    """Choose the images of each part.

    An image's place in the order that shares and limits are taken by is a hash of its name and the
    seed: one image more or less moves at most one other from a part to the next.

    Args:
        listing: what lies there.
        drawn: how many of each class are wanted.
        seed: of the order.

    Returns:
        For ``train``, ``validation`` and ``test``: the number of each image in the listing, in its
        order, and its label.
    """
    chosen: dict[str, list[tuple[int, int]]] = {TRAIN: [], VALIDATION: [], TEST: []}
    for label, parts in enumerate(drawn.members):
        free = _ordered(listing, [*parts.get("", ()), *parts.get(TRAIN, ())], seed)
        for part in (TEST, VALIDATION, TRAIN):
            if part != TRAIN and part in parts:
                rows = _ordered(listing, parts[part], seed)
            else:
                rows = free[: drawn.shares[label][part]]
                free = free[len(rows) :]
            chosen[part] += [(row, label) for row in rows[: drawn.counts[label][part]]]
    return {part: sorted(rows) for part, rows in chosen.items()}


def _ordered(listing: Listing, rows: list[int], seed: int) -> list[int]:
    def place(row: int) -> bytes:
        name = f"{seed}\0{listing.files[row]}".encode("utf-8", "surrogateescape")
        return hashlib.blake2b(name, digest_size=8).digest()

    return sorted(rows, key=lambda row: (place(row), row))
