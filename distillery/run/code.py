"""A job runs the code that it stamps: what it imported is held against the digest that it was
planned under."""

import importlib
import sys
from pathlib import Path

from distillery import places, plugins
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
    for path in fingerprint.closure(fingerprint.files(stamp, script, root), root):
        if path != script:
            importlib.import_module(_dotted(path, root))
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
    named = set(fingerprint.closure(fingerprint.files(stamp, script, root), root))
    for folder in plugins.FOLDERS:
        for path in sorted((root / fingerprint.PACKAGE / folder).glob("[!_]*.py")):
            if _dotted(path, root) in sys.modules and path not in named:
                raise UserError(
                    f"this job ran {path.relative_to(root)}, which is no part of its code "
                    f"({stamp}): a setting that names a plug-in is called `network` or `augment`"
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
