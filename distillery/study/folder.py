"""The folder of a study's results: what it cannot be is found out here rather than in the middle of
Snakemake."""

import os
import stat
from pathlib import Path

from distillery import literals
from distillery.errors import UserError
from distillery.store.layout import normalised


def results(path: str) -> str:
    """Return the results folder that a config names, in its one way to write it.

    Raises:
        UserError: the text is no path, or there cannot be a results folder.
    """
    where = "config: results"
    if set("{}") & set(path):
        raise UserError(
            f"{where}: a folder without braces, which stand for wildcards, not {path!r}"
        )
    if not path.isprintable():
        raise UserError(f"{where}: must be a path of printable characters, not {path!r}")
    path = normalised(path)
    _check_folder(where, path)
    return path


def _check_folder(where: str, path: str) -> None:
    longest = max(Path(path).parts, key=lambda part: len(os.fsencode(part)), default="")
    if len(os.fsencode(longest)) > 255 or len(os.fsencode(path)) > 3000:
        raise UserError(
            f"{where}: is too long: a path has at most 255 characters between two slashes, and "
            f"3000 in all, not {len(path)}"
        )
    try:
        above = next(
            folder for folder in (Path(path), *Path(path).parents) if os.path.lexists(folder)
        )
        if not stat.S_ISDIR(above.stat().st_mode):
            raise UserError(f"{where}: {above} is a file; name a folder")
    except OSError as error:
        raise UserError(
            f"{where}: {path} cannot be a folder: {error.strerror}; name another"
        ) from None
    for what, place in (
        ("working directory", os.getcwd()),
        ("checkout of Distillery", literals.LIBRARY.parent),
    ):
        if Path(os.path.realpath(place)).is_relative_to(os.path.realpath(path)):
            raise UserError(
                f"{where}: {path} is or holds the {what}, among whose files results would lie; "
                "name a folder of their own"
            )
