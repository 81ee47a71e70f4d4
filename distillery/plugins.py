"""What the library offers, read from its source without importing it: a parse of the workflow needs no torch."""

import ast
import functools
from pathlib import Path
from typing import Any

LIBRARY = Path(__file__).resolve().parent


@functools.cache
def _tree(relative: str) -> ast.Module:
    return ast.parse((LIBRARY / relative).read_text(encoding="utf-8"))


@functools.cache
def literal(relative: str, name: str) -> Any:
    """The literal bound to ``name`` at the top level of a module of this library.

    It may be, or at its top spread out (``**``), the literal ``module.NAME`` of another module of this library.

    Args:
        relative: the module's file, relative to the library's folder, such as ``methods/dc.py``.
        name: the constant, such as ``SETTINGS``.

    Raises:
        KeyError: the module binds no such constant.
        ValueError: what is bound is not a literal.
    """
    tree = _tree(relative)
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets):
            return _value(tree, node.value)
    raise KeyError(f"{relative} binds no {name}")


def _value(tree: ast.Module, node: ast.expr) -> Any:
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return literal(_source(tree, node.value.id), node.attr)
    if isinstance(node, ast.Dict) and None in node.keys:
        found: dict = {}
        for key, value in zip(node.keys, node.values, strict=True):
            found |= _value(tree, value) if key is None else {ast.literal_eval(key): ast.literal_eval(value)}
        return found
    return ast.literal_eval(node)


def _source(tree: ast.Module, name: str) -> str:
    """The file of the library's module that ``name`` stands for in ``tree``."""
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and name in [alias.name for alias in node.names]:
            return "/".join([*node.module.split(".")[1:], f"{name}.py"])
    raise ValueError(f"{name} is no module of this library")


def _modules(folder: str) -> list[str]:
    return sorted(path.stem for path in (LIBRARY / folder).glob("*.py") if not path.stem.startswith("_"))


@functools.cache
def methods() -> dict[str, dict[str, Any]]:
    """Every method by name: ``module`` (its file's name), ``title``, ``kind``, ``needs_experts``, ``settings`` (name to JSON-schema property)
    and ``protocol`` (how networks are trained on its sets, as published; with ``overrides``)."""
    return {
        name: {
            "module": name,
            "title": literal(f"methods/{name}.py", "TITLE"),
            "kind": literal(f"methods/{name}.py", "KIND"),
            "needs_experts": literal(f"methods/{name}.py", "NEEDS_EXPERTS"),
            "settings": literal(f"methods/{name}.py", "SETTINGS"),
            "protocol": literal(f"methods/{name}.py", "PROTOCOL"),
        }
        for name in _modules("methods")
        if name != "base"
    }


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
    """Every network by name, with its ``minimum_size`` and ``options``."""
    return literal("networks.py", "NETWORKS")
