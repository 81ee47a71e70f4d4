"""What the library offers, read from its source without importing it: a parse of the workflow needs
no torch."""

import ast
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from distillery.errors import UserError

LIBRARY = Path(__file__).resolve().parent
# A file without an underscore in one of these is a plug-in.
FOLDERS = ("datasets", "networks", "augmentations", "methods")


@functools.cache
def _tree(relative: str) -> ast.Module:
    return ast.parse((LIBRARY / relative).read_text(encoding="utf-8"))


@functools.cache
def literal(relative: str, name: str) -> Any:
    """The literal bound to ``name`` at the top level of a module of this library.

    It may be, or at its top spread out (``**``), the literal ``module.NAME`` of another module of
    this library.

    Args:
        relative: the module's file, relative to the library's folder, such as ``methods/dc.py``.
        name: the constant, such as ``SETTINGS``.

    Raises:
        KeyError: the module binds no such constant.
        ValueError: what is bound is not a literal.
    """
    tree = _tree(relative)
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(
            isinstance(t, ast.Name) and t.id == name for t in node.targets
        ):
            return _value(tree, node.value)
    raise KeyError(f"{relative} binds no {name}")


def _value(tree: ast.Module, node: ast.expr) -> Any:
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return literal(_source(tree, node.value.id), node.attr)
    if isinstance(node, ast.Dict) and None in node.keys:
        found: dict = {}
        for key, value in zip(node.keys, node.values, strict=True):
            found |= (
                _value(tree, value)
                if key is None
                else {ast.literal_eval(key): ast.literal_eval(value)}
            )
        return found
    return ast.literal_eval(node)


def _source(tree: ast.Module, name: str) -> str:
    """The file of the library's module that ``name`` stands for in ``tree``."""
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and name in [alias.name for alias in node.names]:
            return "/".join([*node.module.split(".")[1:], f"{name}.py"])
    raise ValueError(f"{name} is no module of this library")


def _optional(relative: str, name: str) -> Any:
    """As :func:`literal`, ``None`` where there is no such constant."""
    try:
        return literal(relative, name)
    except KeyError:
        return None


def _modules(folder: str) -> list[str]:
    return sorted(
        path.stem for path in (LIBRARY / folder).glob("*.py") if not path.stem.startswith("_")
    )


@functools.cache
def methods() -> dict[str, dict[str, Any]]:
    """Every method by name: ``module`` (its file's name), ``title``, ``kind``, ``needs_experts``,
    ``settings`` (name to JSON-schema property), ``protocol`` (how networks are trained on its sets,
    as published; with ``overrides``), ``augment``, where it always takes the same one, and
    ``needs_network`` (unless it says no).

    A setting called ``augment`` names an augmentation: any, unless the method says which."""
    return {
        name: {
            "module": name,
            "title": literal(f"methods/{name}.py", "TITLE"),
            "kind": literal(f"methods/{name}.py", "KIND"),
            "needs_experts": literal(f"methods/{name}.py", "NEEDS_EXPERTS"),
            "settings": _with_augmentations(literal(f"methods/{name}.py", "SETTINGS")),
            "augment": _optional(f"methods/{name}.py", "AUGMENT"),
            "needs_network": _optional(f"methods/{name}.py", "NEEDS_NETWORK") is not False,
            "protocol": literal(f"methods/{name}.py", "PROTOCOL"),
        }
        for name in _modules("methods")
        if name != "base"
    }


def _with_augmentations(settings: dict[str, Any]) -> dict[str, Any]:
    if "augment" not in settings:
        return settings
    return {**settings, "augment": {"enum": list(augmentations()), **settings["augment"]}}


@functools.cache
def datasets() -> dict[str, dict[str, Any]]:
    """Every dataset by name, with its ``SPEC`` and the ``module`` that holds it."""
    found = {}
    for module in _modules("datasets"):
        spec = literal(f"datasets/{module}.py", "SPEC")
        found[spec["name"]] = {**spec, "module": module}
    return found


@functools.cache
def networks() -> dict[str, dict[str, Any]]:
    """Every network by name, with its ``SPEC`` (``minimum_size``, ``options``) and the ``module``
    that holds it: its name in lower case."""
    found = {}
    for module in _modules("networks"):
        spec = literal(f"networks/{module}.py", "SPEC")
        if spec["name"].lower() != module:
            right = f"{spec['name'].lower()}.py"
            raise UserError(
                f"distillery/networks/{module}.py: holds the network {spec['name']}, so it must be "
                f"called {right}"
            )
        found[spec["name"]] = {**spec, "module": module}
    return found


@functools.cache
def augmentations() -> tuple[str, ...]:
    """The name of every augmentation: that of its file."""
    return tuple(_modules("augmentations"))


def used(network: str, *settings: Any) -> list[str]:
    """The files of the network and the augmentations that a job runs, relative to the library: what
    its code is beside its script.

    Args:
        network: the network's name.
        settings: what the job is given; whatever is called ``augment`` in it, at any depth, names
            an augmentation.
    """
    names = sorted({name for block in settings for name in _augments(block)})
    return [
        f"networks/{networks()[network]['module']}.py",
        *(f"augmentations/{name}.py" for name in names),
    ]


def _augments(block: Any) -> Iterator[str]:
    for key, value in block.items() if isinstance(block, dict) else ():
        if key == "augment" and value is not None:
            yield value
        yield from _augments(value)
