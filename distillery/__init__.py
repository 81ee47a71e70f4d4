"""Distillery: an image dataset distilled into a few synthetic images per class, and what they are
worth."""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from distillery.api.distilling import baseline, distil
    from distillery.api.evaluating import evaluate
    from distillery.sets.synthetic import SyntheticSet

__version__ = "0.1.0"

__all__ = ["baseline", "distil", "evaluate", "load"]

# Where the functions are that take torch.
_LATE = {
    "baseline": "distillery.api.distilling",
    "distil": "distillery.api.distilling",
    "evaluate": "distillery.api.evaluating",
}


def __getattr__(name: str) -> Any:
    # By their names, so that importing the package stays light, and because fingerprints follow
    # import statements: one here would be part of every job's code. No job calls these functions.
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LATE[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATE})


def load(path: str | os.PathLike[str]) -> "SyntheticSet":
    """Return the synthetic set in a safetensors file, as a ``torch.utils.data.Dataset``: a
    ``distillery.sets.synthetic.SyntheticSet``.

    Raises:
        UserError: the file is missing, damaged, or no synthetic set.
    """
    return import_module("distillery.sets.synthetic").SyntheticSet.load(path, rule=None)
