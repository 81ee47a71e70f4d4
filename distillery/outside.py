"""Code from outside this library: what a reference to it leads to, and how it is imported.

A reference is a text that travels in a job's params. It begins with ``@``, which tells it from a
file of the library:

- ``@nets.py``: a file; names that it imports are looked for beside it.
- ``@mypackage.nets``: a module of the working directory, else of the Python path.
- ``@my_methods/:methods/mine.py``: a plug-in of the package that the folder ``my_methods`` is.
- ``@mypackage.plugs:methods/mine.py``: a plug-in of a package that is installed.

Paths start at the working directory. Finding runs no code of the module: a config is checked so.
"""

import contextlib
import functools
import hashlib
import importlib
import importlib.metadata
import importlib.util
import os
import site
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

from distillery.errors import UserError, first_line

MARK = "@"


@dataclass(frozen=True)
class Code:
    """A module from outside.

    Attributes:
        name: by which it is imported.
        file: its source.
        root: the folder that absolute imports in it are resolved in.
        only: the one package of ``root`` that is its own, where others lie there too; else ``""``.
        package: name and version of the distribution that installed it; ``None`` for own code.
    """

    name: str
    file: Path
    root: Path
    only: str = ""
    package: tuple[str, str] | None = None


def is_reference(source: str) -> bool:
    """Return whether a source is code from outside, and no file of the library."""
    return source.startswith(MARK)


def shown(reference: str) -> str:
    """Return a reference as messages name it: the path of a file, or the name of a module."""
    where, colon, inner = reference.removeprefix(MARK).partition(":")
    if not colon:
        return where
    return os.path.join(where, inner) if _is_path(where) else f"{where} ({inner})"


def find(reference: str) -> Code:
    """Return what a reference leads to.

    Raises:
        UserError: there is nothing, or nothing that can be imported.
    """
    where, _, inner = reference.removeprefix(MARK).partition(":")
    if inner:
        return _of_collection(*collection(where), inner)
    return _file(where) if _is_path(where) else _module(where)


def collection(where: str) -> tuple[Path, str, str]:
    """Return the folder of a package of plug-ins, the package's name and its one top-level package
    where it is installed among others.

    Args:
        where: a folder, as the config writes it, or the name of an installed package.

    Raises:
        UserError: there is none, or it has no name that can be imported.
    """
    if not _is_path(where):
        place = _place(where)
        folder = place.parent if place and place.name == "__init__.py" else place
        if folder is None or not folder.is_dir():
            raise UserError(f"{where}: is no package; name one that holds plug-ins")
        return folder, where, where.partition(".")[0] if is_installed(folder) else ""
    folder = Path(os.path.expanduser(where)).absolute()
    if not folder.is_dir():
        what = "is a file; name its folder" if folder.exists() else "there is no such folder"
        raise UserError(f"{where}: {what}")
    name = Path(os.path.normpath(folder)).name
    if not name.isidentifier() or name in sys.stdlib_module_names:
        raise UserError(
            f"{where}: its plug-ins are imported as {name!r}, which must be of letters, digits and "
            "underscores and no module of Python; give the folder another name"
        )
    spec = _top(name)
    if (
        spec is not None
        and spec.origin
        and not _within(spec.origin, Path(os.path.normpath(folder)))
    ):
        raise UserError(
            f"{where}: its plug-ins are imported as {name!r}, which {spec.origin} is already; give "
            "the folder another name"
        )
    return Path(os.path.normpath(folder)), name, ""


def load(reference: str) -> ModuleType:
    """Import what a reference leads to, once in a process. What it prints goes to standard error.

    Raises:
        UserError: it cannot be imported, or another module has its name.
    """
    code = find(reference)
    here = sys.modules.get(code.name)
    if here is None:
        with running(f"{shown(reference)}: cannot be imported"):
            here = _imported(code)
    file = getattr(here, "__file__", None)
    if code.package is None and (file is None or not os.path.samefile(file, code.file)):
        raise UserError(
            f"{shown(reference)}: is imported as {code.name!r}, which is {file}; give one another "
            "name"
        )
    return here


def module(source: str) -> ModuleType:
    """Import a plug-in.

    Args:
        source: its file relative to the library, such as ``methods/dc.py``, or its reference.

    Raises:
        UserError: as :func:`load`.
    """
    if is_reference(source):
        return load(source)
    return importlib.import_module("distillery." + source.removesuffix(".py").replace("/", "."))


@contextlib.contextmanager
def running(what: str) -> Iterator[None]:
    """Run code from outside: whatever it raises is a ``UserError`` that says ``what`` failed, an
    exit too. What it prints goes to standard error."""
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        kind = "it exits" if isinstance(error, SystemExit) else type(error).__name__
        said = " ".join(first_line(error).split()) if str(error) else ""
        raise UserError(f"{what}: {kind}{f': {said}' if said else ''}") from error


# ---- finding -------------------------------------------------------------------------------------


def _is_path(where: str) -> bool:
    return where.endswith(".py") or bool({"/", os.sep} & set(where)) or where in (".", "..")


def _file(where: str) -> Code:
    path = Path(os.path.normpath(Path(os.path.expanduser(where)).absolute()))
    if not path.is_file():
        raise UserError(f"{where}: there is no such file")
    # A name of its own, for files of one name in two folders.
    unique = hashlib.sha256(where.encode()).hexdigest()[:8]
    return Code(f"outside_{unique}_{path.stem}", path, path.parent)


def _of_collection(folder: Path, name: str, only: str, inner: str) -> Code:
    file = folder / inner
    if not file.is_file():
        raise UserError(f"{file}: there is no such file")
    root = folder
    for _ in name.split("."):
        root = root.parent
    return Code(".".join([name, *Path(inner).with_suffix("").parts]), file, root, only)


def _module(name: str) -> Code:
    place = _place(name)
    if place is None or place.is_dir():
        top = name.partition(".")[0]
        missing = f"there is no module {name}"
        if _place(top) is None:
            missing += f"; install the package of {top}, or write a path that ends in .py"
        raise UserError(missing)
    top, root = name.partition(".")[0], place.parent
    for _ in name.split(".")[1:] + ["__init__"] * (place.name == "__init__.py"):
        root = root.parent
    if not is_installed(place):
        return Code(name, place, root)
    return Code(name, place, root, top, _distribution(top))


def _place(name: str) -> Path | None:
    """Return where a module is: its file, or its folder where it is a package without
    ``__init__.py``. Nothing is imported for it, the packages above it neither."""
    top, *rest = name.split(".")
    # The working directory is on no job's path. What is installed comes before a folder of data
    # that happens to have its name.
    folders = [Path.cwd()]
    spec = _top(top)
    if spec is not None and (spec.submodule_search_locations or spec.origin):
        places = spec.submodule_search_locations or [spec.origin]
        folders += [Path(place).parent for place in places if place]
    namespaces = []
    for folder in folders:
        place: Path | None = folder
        for part in (top, *rest):
            place = _part(place, part) if place else None
        if place is not None and place.is_dir():
            namespaces.append(place)
        elif place is not None:
            return place
    return namespaces[0] if namespaces else None


def _part(above: Path, name: str) -> Path | None:
    """Return the place of a module in that of its package, or in a folder."""
    folder = above.parent if above.name == "__init__.py" else above
    for place in (folder / name / "__init__.py", folder / f"{name}.py", folder / name):
        if place.exists():
            return place
    return None


def _top(name: str) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(name)
    except (ImportError, ValueError):  # half imported, or no name of a module
        return None


@functools.cache
def _site_folders() -> tuple[str, ...]:
    paths = [sysconfig.get_path(kind) for kind in ("purelib", "platlib", "stdlib")]
    paths += [*site.getsitepackages(), site.getusersitepackages()]
    return tuple(os.path.realpath(path) for path in paths if path)


def is_installed(file: Path) -> bool:
    """Return whether a file is where packages are installed, or Python itself."""
    return any(_within(file, Path(folder)) for folder in _site_folders())


def _within(path: str | Path, folder: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def _distribution(top: str) -> tuple[str, str] | None:
    """Return name and version of the distribution that installed a package."""
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return top, importlib.metadata.version(top)
    # The list of all packages takes a while to read.
    for name in importlib.metadata.packages_distributions().get(top, ()):
        return name, importlib.metadata.version(name)
    return None


# ---- importing -----------------------------------------------------------------------------------


def _imported(code: Code) -> ModuleType:
    root, top = str(code.root), code.name.partition(".")[0]
    if not code.only and root not in sys.path:
        sys.path.append(root)  # behind all else: no module of Python is hidden by one beside it
    if code.name.startswith("outside_"):
        spec = importlib.util.spec_from_file_location(code.name, code.file)
        return _run(spec)
    if top not in sys.modules and not code.only:
        _run(PathFinder.find_spec(top, [root]))
    return importlib.import_module(code.name)


def _run(spec: ModuleSpec | None) -> ModuleType:
    if spec is None:
        raise ImportError("it is not there any more")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        if spec.loader is not None:  # else a package without `__init__.py`
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[spec.name]
        raise
    return module
