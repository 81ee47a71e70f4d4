"""What a value of a config names on the disk: a path, a list of paths, or a pattern. Imports no "
"torch."""

import glob
import os
import re
from collections.abc import Iterator

from distillery.errors import UserError


def named(value: str | list[str], where: str) -> list[str]:
    """List the files and folders that a value names, in order; those of a pattern by name.

    Numbers in names count as numbers, so ``part_2.pt`` comes before ``part_10.pt``.

    Args:
        value: paths or patterns (``*``, ``?``, ``[...]``), with ``~`` for the home folder.
        where: what the errors begin with, such as ``config: imported[0]: file``.

    Raises:
        UserError: a path does not exist, or a pattern fits nothing.
    """
    paths: list[str] = []
    for path in [value] if isinstance(value, str) else value:
        path = os.path.expanduser(path)
        fits = [path] if os.path.lexists(path) else sorted(glob.glob(path), key=_natural)
        if not fits:
            what = "fits no file" if glob.has_magic(path) else "is missing"
            raise UserError(
                f"{where} {path if path.isprintable() else repr(path)} {what}; give the path of a "
                "file that exists"
            )
        paths += fits
    return paths


def files(value: str | list[str], where: str) -> list[str]:
    """List the files that a value names, as :func:`named`; for a folder all files in it.

    Raises:
        UserError: as :func:`named`.
    """
    return [file for path in named(value, where) for file in _within(path)]


def _within(path: str) -> Iterator[str]:
    if not os.path.isdir(path):
        yield path
        return
    for folder, inner, names in os.walk(path):
        inner.sort(key=_natural)
        yield from (os.path.join(folder, name) for name in sorted(names, key=_natural))


def _natural(path: str) -> list[tuple[int, int | str]]:
    parts = re.split(r"([0-9]+)", path)
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in parts]
