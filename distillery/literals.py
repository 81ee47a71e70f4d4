"""What a module of this library binds, read from its source without importing it."""

import ast
import functools
from pathlib import Path
from typing import Any

from distillery.errors import UserError

LIBRARY = Path(__file__).resolve().parent


def shown(file: str) -> str:
    """Return a file of the library as messages name it."""
    return f"distillery/{file}"


@functools.cache
def tree(relative: str) -> ast.Module:
    """Return the syntax tree of a module of this library.

    Raises:
        UserError: it is not Python.
    """
    try:
        return ast.parse((LIBRARY / relative).read_text(encoding="utf-8"))
    except SyntaxError as error:
        raise UserError(
            f"{shown(relative)}: line {error.lineno}: is not Python: {error.msg}"
        ) from None


@functools.cache
def literal(relative: str, name: str) -> Any:
    """Return the literal bound to ``name`` at the top level of a module of this library.

    It may be, or at its top spread out (``**``), the literal ``module.NAME`` of another module of
    this library.

    Args:
        relative: the module's file, relative to the library's folder, such as ``methods/dc.py``.
        name: the constant, such as ``SETTINGS``.

    Raises:
        KeyError: the module binds no such constant.
        ValueError: what is bound is not a literal.
    """
    module = tree(relative)
    for node in module.body:
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            return _value(module, node.value)
    raise KeyError(f"{relative} binds no {name}")


def _value(module: ast.Module, node: ast.expr) -> Any:
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return literal(_source(module, node.value.id), node.attr)
    if isinstance(node, ast.Dict) and None in node.keys:
        merged: dict[Any, Any] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            merged |= (
                _value(module, value)
                if key is None
                else {ast.literal_eval(key): ast.literal_eval(value)}
            )
        return merged
    return ast.literal_eval(node)


def _source(module: ast.Module, name: str) -> str:
    """Return the file of the library's module that ``name`` stands for in ``module``."""
    for node in module.body:
        if (
            isinstance(node, ast.ImportFrom)
            and node.module
            and name in [alias.name for alias in node.names]
        ):
            return "/".join([*node.module.split(".")[1:], f"{name}.py"])
    raise ValueError(f"{name} is no module of this library")


def names(file: str) -> set[str]:
    """Return what a module binds at its top level."""
    names = set()
    for node in tree(file).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {
                part.id
                for target in targets
                for part in ast.walk(target)
                if isinstance(part, ast.Name)
            }
    return names
