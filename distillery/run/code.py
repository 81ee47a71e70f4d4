"""A job runs the code that it stamps: what it imported is held against the digest that it was
planned under."""

import contextlib
import importlib
import sys
from pathlib import Path

from distillery import outside, places, plugins
from distillery.errors import UserError
from distillery.study import fingerprint


def check(stamp: str) -> None:
    """Import all that decides this job's result, and hold it against ``stamp``, its code when the
    run was planned.

    Everything is imported here, what the job imports late included, so that an edit after this
    cannot reach the job: what it computes is of the code that it stamps.

    Args:
        stamp: what ``fingerprint.fingerprint`` gave for the job's script and plug-ins.

    Raises:
        UserError: another copy of the package was imported than the workflow's own, or the code
            changed since.
    """
    main, script = sys.modules["__main__"], _script()
    root = _root(script)
    _own(root)
    start = fingerprint.started(fingerprint.plugins(stamp), script, root)
    for path in fingerprint.closure(start.files, root, start.trees):
        if path != script and not fingerprint.is_outside(path, root):
            importlib.import_module(_dotted(path, root))
    _import_from_outside(stamp, start, root)
    _own(root)
    # else an edit since it was read, and before it was imported, would go unseen
    fingerprint.forget()
    current = fingerprint.fingerprint(script.name, *fingerprint.plugins(stamp), root=root)
    # Snakemake runs a copy of the script, with lines of its own before it.
    ran = Path(getattr(main, "__real_file__", script)).read_text(encoding="utf-8")
    if current != stamp or not ran.endswith(script.read_text(encoding="utf-8")):
        raise UserError(
            f"the code of this job changed since the run began (planned as {_digest(stamp)}, found "
            f"as {_digest(current)}): run snakemake again"
        )


def check_plugins(stamp: str) -> None:
    """Check that every plug-in which this process imported is part of the job's code.

    Raises:
        UserError: one is not, so that an edit of it would not make the result stale.
    """
    script = _script()
    root = _root(script)
    start = fingerprint.started(fingerprint.plugins(stamp), script, root)
    named = set(fingerprint.closure(start.files, root, start.trees))
    for folder in plugins.FOLDERS:
        for path in sorted((root / fingerprint.PACKAGE / folder).glob("[!_]*.py")):
            if _dotted(path, root) in sys.modules and path not in named:
                raise UserError(
                    f"this job ran {path.relative_to(root)}, which is no part of its code "
                    f"({stamp}): a setting that names a plug-in is called `network` or `augment`"
                )
    for path in _loaded(start.trees):
        if path not in named and fingerprint.is_outside(path, root):
            raise UserError(
                f"this job ran {path}, which is no part of its code ({stamp}): an edit of it would "
                "go unseen; import it by an import statement"
            )


def _import_from_outside(stamp: str, start: fingerprint.Started, root: Path) -> None:
    """Import what the job's code from outside is made of, what it imports late included."""
    for name in fingerprint.plugins(stamp):
        if outside.is_reference(name):
            outside.load(name)
    for path in fingerprint.closure(start.files, root, start.trees):
        for tree in start.trees:
            if tree.holds(path) and fingerprint.is_outside(path, root) and path not in start.files:
                # What it imports only in some cases may not be there to import.
                with contextlib.suppress(Exception, SystemExit):
                    importlib.import_module(_dotted(path, tree.root))


def _loaded(trees: tuple[fingerprint.Tree, ...]) -> list[Path]:
    """List the files of ``trees`` that this process imported, but for what packages installed."""
    files = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    paths = [Path(file) for file in files if file and file.endswith(".py")]
    return sorted(
        {
            path
            for path in paths
            for tree in trees
            if tree.holds(path) and (tree.only or not outside.is_installed(path))
        }
    )


def _script() -> Path:
    """Find the script that this process runs."""
    return Path(str(sys.modules["__main__"].__file__)).resolve()


def _root(script: Path) -> Path:
    """Find the folder that the library is in which a script belongs to."""
    return places.root_of(script.parents[2])


def _own(root: Path) -> None:
    """Raise unless each module of the package is the workflow's own."""
    for name, module in sorted(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if name.partition(".")[0] == fingerprint.PACKAGE and file:
            path = Path(file).resolve()
            if not path.is_relative_to(root / fingerprint.PACKAGE):
                raise UserError(
                    f"this job imported {path} instead of the workflow's own "
                    f"{root / fingerprint.PACKAGE}: "
                    "uninstall that copy, or take its folder off PYTHONPATH"
                )


def _dotted(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _digest(stamp: str) -> str:
    return stamp.partition(" ")[0]
