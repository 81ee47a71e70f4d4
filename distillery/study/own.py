"""A config's own datasets: what lies there, as the study needs to know it before any image is
read."""

import importlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from distillery import declarations
from distillery.datasets import _parts
from distillery.datasets._listing import TEST, TRAIN, VALIDATION, Listing, places_of, settings_of
from distillery.errors import UserError
from distillery.limits import plain
from distillery.plugins import Dataset


@dataclass(frozen=True)
class OwnDataset:
    """A dataset that the config describes.

    Attributes:
        places: where it lies.
        settings: what decides its images: all else of its block but its title.
        listing: what lies there.
        plan: its classes and how many images each has.
        record: what a built-in one declares. The mean and the standard deviation are known when
            the images are.
    """

    places: Mapping[str, str]
    settings: Mapping[str, Any]
    listing: Listing
    plan: _parts.Plan
    record: Dataset

    @property
    def modules(self) -> tuple[str, str]:
        """Return the files that list its images and that read them, relative to the library."""
        kind = self.settings["kind"]
        return f"datasets/_{kind}.py", f"datasets/{_kind(kind).READER}.py"

    @property
    def notes(self) -> list[str]:
        """Return what a user should know, a line each."""
        return [f"{self.record.name}: {note}" for note in (*self.listing.notes, *self.plan.notes)]


def read(blocks: Mapping[str, Mapping[str, Any]], taken: Iterable[str]) -> dict[str, OwnDataset]:
    """Look at every dataset of a config.

    Args:
        blocks: the config's ``datasets``, checked by their models.
        taken: the names of built-in datasets.

    Raises:
        UserError: a name is taken, or what lies there is no dataset.
    """
    own: dict[str, OwnDataset] = {}
    for name, block in blocks.items():
        where = f"config: datasets.{name}"
        _check_name(where, name, taken)
        own[name] = _read(where, name, block)
    return own


def _check_name(where: str, name: str, taken: Iterable[str]) -> None:
    if not declarations.NAME.fullmatch(name):
        better = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_")
        better = better if declarations.NAME.fullmatch(better) else f"my_{better or 'images'}"
        raise UserError(
            f"{where}: a dataset's name is made of letters, digits and underscores and begins with "
            f"a letter, such as {better}"
        )
    for other in taken:
        if other.lower() == name.lower():
            raise UserError(
                f"{where}: {other} is a built-in dataset; give yours another name, such as "
                f"my_{name}"
            )


def _kind(name: str) -> Any:
    return importlib.import_module(f"distillery.datasets._{name}")


def _read(where: str, name: str, block: Mapping[str, Any]) -> OwnDataset:
    settings, places = settings_of(block), places_of(block)
    listing: Listing = _kind(settings["kind"]).scan(where, places, settings)
    plan = _parts.plan(where, listing, settings)
    facts = {**listing.about, **settings}
    channels = facts["channels"]
    spec: dict[str, Any] = {
        "name": name,
        "channels": channels,
        "size": plain(facts["size"]),
        "classes": plan.classes,
        "train": plan.total(TRAIN) + plan.total(VALIDATION),
        "test": plan.total(TEST),
        "smallest_class": plan.smallest(TRAIN, VALIDATION),
        "licence": settings["licence"],
        "home": settings["home"],
        # Colour images are of things; grey ones are often of writing, or of a body's two sides.
        "horizontal_flip": settings.get("horizontal_flip", channels >= 3),
    }
    record = Dataset(
        module=f"_{settings['kind']}",
        spec=spec,
        mean=(),
        std=(),
        raw="nhwc",
        sha256={},
        title=block.get("title", name),
        **spec,
    )
    return OwnDataset(places, settings, listing, plan, record)
