"""Where the figures of a report come from: the commit, the machine, the packages and their
licences."""

import importlib.metadata
import platform
import subprocess
from typing import Any

from distillery import __version__, places


def gather() -> dict[str, Any]:
    """Gather what the report shows of its origin: ``distillery`` (version), ``commit``,
    ``uncommitted changes``, ``python`` and ``platform``.

    A folder that is no checkout, or a machine without git, leaves the commit out.
    """
    origin: dict[str, Any] = {"distillery": __version__}
    at = checkout()
    if at:
        origin["commit"] = at["commit"]
        origin["uncommitted changes"] = f"{at['changed']} files" if at["changed"] else "none"
    origin["python"] = platform.python_version()
    origin["platform"] = platform.platform()
    return origin


def checkout() -> dict[str, Any]:
    """Find the ``commit`` that this code is of, and how many tracked files are ``changed`` since;
    empty outside a checkout or without git."""
    # An installed copy may lie in a checkout of something else.
    commit = _git("rev-parse", "HEAD") if places.is_checkout() else None
    if not commit:
        return {}
    return {
        "commit": commit,
        "changed": len((_git("status", "--porcelain", "--untracked-files=no") or "").splitlines()),
    }


def packages() -> list[dict[str, str]]:
    """List every installed distribution with its ``name``, ``version`` and ``licence``, by name:
    the software bill of the environment."""
    bill = {}
    for distribution in importlib.metadata.distributions():
        meta = distribution.metadata
        name = meta["Name"]
        if name:
            # The first on the path is the one that is imported: setuptools puts its own copies of
            # others at the path's end.
            bill.setdefault(
                name.lower(),
                {"name": name, "version": meta["Version"], "licence": _licence(meta)},
            )
    return [bill[name] for name in sorted(bill)]


def _licence(meta: Any) -> str:
    if meta.get("License-Expression"):
        return meta["License-Expression"]
    classified = [
        line.rsplit(" :: ", 1)[1]
        for line in meta.get_all("Classifier") or []
        if line.startswith("License :: ") and line.count(" :: ") > 1
    ]
    if classified:
        return ", ".join(classified)
    stated = (meta.get("License") or "").strip().splitlines()
    return stated[0][:60] if stated else "not stated"


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(places.ROOT), *arguments],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
