"""What sets start from beside real images and noise: sets that are there already, named by a config
or by their paths."""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from distillery import declarations
from distillery.errors import UserError
from distillery.store import paths
from distillery.store.layout import SET
from distillery.study.overrides import listed
from distillery.study.schema import Start
from distillery.vocabulary import IMPORTED, INITS

# What a start names of files.
FILES = ("file", "labels")


def read(config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the sets that a config names as starts, by name; what names one by its path in the
    grid is given its name, in place.

    Args:
        config: its sections, read.

    Raises:
        UserError: a name cannot be one, or two paths would have one name.
    """
    starts: dict[str, dict[str, Any]] = {}
    for name, entry in config["starts"].items():
        if not declarations.NAME.fullmatch(name) or name in (*INITS, IMPORTED):
            raise UserError(
                f"config: starts.{name}: a start's name is made of letters, digits and "
                f"underscores, begins with a letter, and is none of {', '.join(INITS)}, {IMPORTED}"
            )
        starts[name] = entry
    for number, block in enumerate(config["grid"]):
        names = [
            _name(f"config: grid[{number}]: init", value, starts) for value in listed(block["init"])
        ]
        block["init"] = names if isinstance(block["init"], list) else names[0]
    config["starts"] = starts
    return starts


def _name(where: str, value: str, starts: dict[str, dict[str, Any]]) -> str:
    """Return the name of a start; one that is a path is added to ``starts``."""
    if not {"/", os.sep, "."} & set(value):
        return value
    name = named_after(value)
    known = starts.setdefault(name, Start(file=value).model_dump(exclude_none=True))
    if known["file"] != value:
        raise UserError(
            f"{where}: {value} would be called {name!r}, as {_shown(known['file'])} is; give it a "
            "name of its own under `starts`"
        )
    return name


def named_after(path: str) -> str:
    """Return what a start that is named by its path is called in folders and tables: ``from_`` and
    the file's name, or of a set in a results folder its cell's."""
    parts = Path(os.path.normpath(path)).parts
    above = parts[-5:-1] if parts[-1] == SET else ()
    words = "_".join(above or (Path(parts[-1]).stem,))
    return "from_" + re.sub("[^A-Za-z0-9]+", "_", words).strip("_")


def _shown(value: str | list[str]) -> str:
    return ", ".join(listed(value))


def files(name: str, entry: Mapping[str, Any]) -> list[str]:
    """Return the files that a start is read from; of folders all that is in them.

    Raises:
        UserError: one is missing.
    """
    return [
        file
        for key in FILES
        if key in entry
        for file in paths.files(entry[key], f"config: starts.{name}: {key}")
    ]


def check(starts: Mapping[str, Mapping[str, Any]], used: Iterable[str], results: str) -> None:
    """Refuse starts that are not there, or are made by the study itself.

    Args:
        starts: by name.
        used: those that the grid names.
        results: the study's results folder.

    Raises:
        UserError: a file is missing, lies in the results folder, or no block names a start.
    """
    used = set(used)
    for name, entry in starts.items():
        if name not in used:
            raise UserError(f"config: starts.{name}: no block of the grid has `init: {name}`")
        for key in FILES:
            for file in listed(entry.get(key, [])):
                below = os.path.realpath(os.path.expanduser(file))
                if Path(below).is_relative_to(os.path.realpath(results)):
                    raise UserError(
                        f"config: starts.{name}: {file} is among this study's own results; start "
                        "from a set of another study, with another `results`"
                    )
        files(name, entry)
