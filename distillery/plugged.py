"""The plug-ins of a study: those of the library, of the folders that its config names, and of the
packages that are installed.

A folder of plug-ins is a package, which is imported by the folder's name. In it are folders named
as the library's, or files whose kind is told from what they declare. A file whose name begins with
an underscore is what plug-ins share: they import it by its full name, as in
``from my_methods import _shared``.
"""

import importlib.metadata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distillery import literals, outside, plugins
from distillery.errors import UserError

# Packages that hold plug-ins name themselves under this group of entry points.
GROUP = "distillery.plugins"


@dataclass(frozen=True)
class Plugins:
    """What may be named in a config, by name."""

    methods: dict[str, plugins.Method]
    datasets: dict[str, plugins.Dataset]
    networks: dict[str, plugins.Network]
    augmentations: dict[str, plugins.Augmentation]


def gather(folders: Iterable[str]) -> Plugins:
    """Return the plug-ins of the library, of folders and of installed packages.

    Args:
        folders: as a config names them.

    Raises:
        UserError: a folder is missing or holds no plug-in, a file does not say what it is, or a
            name is taken.
    """
    known = Plugins(
        dict(plugins.methods()),
        dict(plugins.datasets()),
        dict(plugins.networks()),
        dict(plugins.augmentations()),
    )
    named = [(f"config: plugins: {folder}", folder) for folder in dict.fromkeys(folders)]
    packages: dict[str, str] = {}
    for where, collection in [*named, *installed()]:
        try:
            _add(known, collection, packages)
        except UserError as error:
            said = str(error).removeprefix(f"{collection}: ")
            raise UserError(f"{where}: {said}") from None
    if len(known.augmentations) > len(plugins.augmentations()):
        for name, method in known.methods.items():
            known.methods[name] = plugins.with_augmentations(method, known.augmentations)
    return known


def installed() -> list[tuple[str, str]]:
    """Return the packages of plug-ins that are installed, each with where it is named."""
    found = {
        point.value: f"plug-ins of the package {point.dist.name if point.dist else point.name}"
        for point in importlib.metadata.entry_points(group=GROUP)
    }
    return [(where, name) for name, where in sorted(found.items())]


def _add(known: Plugins, collection: str, packages: dict[str, str]) -> None:
    """Add the plug-ins of a folder or an installed package.

    Args:
        known: where they are added.
        collection: what a config or an entry point says.
        packages: the folders that were added, by the name that they are imported by.
    """
    folder, package, _ = outside.collection(collection)
    other = packages.get(package)
    if other == str(folder):
        return
    if other is not None:
        raise UserError(
            f"its plug-ins are imported as {package!r}, as those of {literals.shown(other)}; give "
            "one of the folders another name"
        )
    packages[package] = str(folder)
    for kind, inner in _files(folder):
        source = f"{outside.MARK}{collection}:{inner}"
        plugin = plugins.read(kind, str(folder / inner), source)
        taken: dict[str, Any] = getattr(known, kind)
        if plugin.name in taken and taken[plugin.name].source != source:
            raise UserError(
                f"{inner}: the name {plugin.name!r} is taken by {taken[plugin.name].place}; give "
                "it another"
            )
        taken[plugin.name] = plugin


def _files(folder: Path) -> Iterator[tuple[str, str]]:
    """Return the plug-ins of a folder: kind and path within it."""
    count = 0
    for kind in plugins.FOLDERS:
        for path in sorted((folder / kind).glob("[!_]*.py")):
            count += 1
            yield kind, f"{kind}/{path.name}"
    for path in sorted(folder.glob("[!_]*.py")):
        count += 1
        yield _kind(path), path.name
    for path in sorted(folder.iterdir()):
        meant = path.name.lower().rstrip("s") + "s"
        if path.is_dir() and meant in plugins.FOLDERS and path.name != meant:
            raise UserError(f"{path.name}/: is no kind of plug-in; did you mean {meant}/?")
    if not count:
        raise UserError(
            f"holds no plug-in: folders {', '.join(plugins.FOLDERS)}, or files that say what they "
            "are (docs/adding.md)"
        )


def _kind(path: Path) -> str:
    """Tell the kind of a plug-in from what its file binds."""
    bound = literals.names(str(path))
    for kind, names in (
        ("methods", {"KIND"}),
        ("datasets", {"SPEC", "SOURCES"}),
        ("networks", {"SPEC", "build"}),
        ("augmentations", {"draw"}),
    ):
        if names <= bound:
            return kind
    raise UserError(
        f"{path.name}: does not say what it is: a method binds KIND, a dataset SPEC and SOURCES, a "
        "network SPEC and build, an augmentation draw; a name that begins with an underscore is "
        "for what plug-ins share"
    )
