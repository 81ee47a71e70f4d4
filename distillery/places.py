"""Where the workflow lies: beside the library in a checkout, inside it where Distillery is
installed.

A *root* is the folder that the library is in; a *workflow folder* holds ``Snakefile``,
``workflow/``, ``config/``, ``envs/`` and ``profiles/``.
"""

from pathlib import Path

LIBRARY = Path(__file__).resolve().parent
ROOT = LIBRARY.parent
PACKAGED = "_workflow"


def workflow(root: Path | None = None) -> Path:
    """Return the workflow folder of the library that ``root`` holds; of this one by default."""
    root = ROOT if root is None else root
    inside = root / LIBRARY.name / PACKAGED
    return inside if inside.is_dir() else root


def root_of(workflow: Path) -> Path:
    """Return the folder that holds the library which a workflow folder belongs to."""
    return workflow.parents[1] if workflow.name == PACKAGED else workflow


def is_checkout() -> bool:
    """Return whether this is a checkout of the repository, not an installed copy."""
    return workflow() == ROOT


def snakefile() -> Path:
    """Return the Snakefile, for another workflow to name.

    In full::

        from distillery.places import snakefile

        module sets:
            snakefile: snakefile()
            config: config["sets"]
    """
    return workflow() / "Snakefile"
