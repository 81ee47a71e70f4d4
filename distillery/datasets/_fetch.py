"""Fetch the images of a dataset from the first source that serves them. Nothing that is fetched is
trusted.

A module of ``distillery.datasets`` is one dataset. It binds ``SPEC`` (a literal, read without
import), ``FILES`` (what a person would place by hand, in the local folder) and ``SOURCES``: source
name to a function of a folder, which is the user's for ``local`` and an empty one to download into
for the others. The functions are made of three modules beside this one: ``_transports`` downloads,
``_archives`` opens what came, ``_formats`` decodes it.
"""

import hashlib
import importlib
import os
import pkgutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from distillery import datasets, outside
from distillery.datasets._formats import Raw, raw_bytes
from distillery.errors import UserError
from distillery.images.dataset import TENSORS, Arrays, check


def fetch(
    name: str,
    source: str = "",
    *,
    sources: Sequence[str],
    local: str | os.PathLike[str],
    workspace: str | os.PathLike[str],
    log: Callable[[str], Any] = lambda line: None,
) -> Arrays:
    """Fetch, decode and check a dataset from the first of ``sources`` that serves it.

    Args:
        name: of the dataset, such as ``CIFAR10``.
        source: its file relative to the library, or its reference; that of its name where it is
            empty.
        sources: ``local``, ``torchvision`` and ``registry`` in the order of trial. An embedded
            dataset needs none.
        local: the folder for ``local``, in torchvision's layout.
        workspace: a temporary folder of the caller; downloads go here and nowhere else.
        log: called with one line for each source.

    Raises:
        UserError: the dataset is unknown, or no source serves it: each with its reason, then what
            to place by hand.
    """
    module: Any = outside.module(source) if source else _module(name)
    spec, local, reasons = module.SPEC, Path(local), []
    order = ["embedded"] if "embedded" in module.SOURCES else list(sources)
    for place in order:
        try:
            if place not in module.SOURCES:
                raise UserError(f"does not have {name}")
            folder = local if place == "local" else Path(workspace) / place
            if place != "local":
                folder.mkdir(parents=True, exist_ok=True)
            arrays = _checked(spec, module.SOURCES[place](folder), place)
        except (UserError, OSError) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            reasons.append(f"{place}: {reason}")
            log(f"{name}: source {place} failed: {reason}")
        else:
            log(
                f"{name}: served by source {place}, {spec['train']} training and {spec['test']} "
                "test images, checked"
            )
            return arrays
    lines = [
        f"{name}: no source of data.sources served it.",
        *(f"  {reason}" for reason in reasons),
    ]
    if module.FILES:
        lines += [
            f"  To place it by hand (its page: {spec['home']}), name `local` in data.sources and "
            "put there:"
        ]
        lines += [f"    {(local / file).resolve()}" for file in module.FILES]
    raise UserError("\n".join(lines))


def _module(name: str) -> Any:
    known = sorted(
        info.name
        for info in pkgutil.iter_modules(datasets.__path__)
        if not info.name.startswith("_")
    )
    if name.lower() in known:
        module = importlib.import_module(f"distillery.datasets.{name.lower()}")
        if module.SPEC["name"] == name:
            return module
        raise UserError(f"unknown dataset {name!r}: it is spelt {module.SPEC['name']!r}")
    raise UserError(
        f"unknown dataset {name!r}; the files of distillery/datasets are {', '.join(known)}"
    )


def _checked(spec: dict[str, Any], raw: Raw, source: str) -> Arrays:
    arrays: dict[str, Any] = dict(zip(TENSORS, raw))
    try:
        check(spec, arrays)
    except ValueError as error:
        raise UserError(f"{spec['name']}: {error}") from error
    digests = {
        name: hashlib.sha256(raw_bytes(array, spec["raw"])).hexdigest()
        for name, array in arrays.items()
    }
    for name, digest in spec["sha256"].items():
        if digests[name] != digest:
            raise UserError(
                f"{spec['name']}: the SHA-256 of {name} is {digests[name]}, not the published "
                f"{digest}"
            )
    return Arrays(spec=spec, **arrays, source=source, digests=digests)
