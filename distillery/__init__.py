"""Distillery: an image dataset distilled into a few synthetic images per class, and what they are
worth."""

import os
from typing import Any

__version__ = "0.1.0"


def load(path: str | os.PathLike[str]) -> Any:
    """Return the synthetic set in a safetensors file, as a ``torch.utils.data.Dataset``: a
    ``distillery.sets.synthetic.SyntheticSet``.

    Raises:
        UserError: the file is missing, damaged, or no synthetic set.
    """
    from importlib import import_module

    # By its name, so that importing the package stays light, and because fingerprints follow import
    # statements: one here would be part of every job's code. No job calls this function.
    return import_module("distillery.sets.synthetic").SyntheticSet.load(path, rule=None)
