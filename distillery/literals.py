"""What a module of this library, or a plug-in from outside, binds: read from its source without
importing it.

A file is named relative to the library's folder, such as ``methods/dc.py``; one from outside by its
absolute path.
"""

import ast
import functools
import os
from pathlib import Path
from typing import Any

from distillery.errors import UserError

LIBRARY = Path(__file__).resolve().parent
LIBRARY_NAME = "distillery"


def shown(file: str) -> str:
    """Return a file as messages name it."""
    if not os.path.isabs(file):
        return f"distillery/{file}"
    here = os.path.relpath(file)
    return file if here.startswith(os.pardir) else here


@functools.cache
def tree(relative: str) -> ast.Module:
    """Return the syntax tree of a module.

    Raises:
        UserError: it is not Python.
    """
    try:
        return ast.parse((LIBRARY / relative).read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise UserError(f"{shown(relative)}: cannot be read: {error}") from None
    except SyntaxError as error:
        raise UserError(
            f"{shown(relative)}: line {error.lineno}: is not Python: {error.msg}"
        ) from None


@functools.cache
def literal(relative: str, name: str) -> Any:
    """Return the literal bound to ``name`` at the top level of a module.

    It may be, or at its top spread out (``**``), the literal ``module.NAME`` of another module of
    this library or of the same package from outside.

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
            return _value(relative, node.value)
    raise KeyError(f"{relative} binds no {name}")


def _value(file: str, node: ast.expr) -> Any:
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return literal(_source(file, node.value.id), node.attr)
    if isinstance(node, ast.Dict) and None in node.keys:
        merged: dict[Any, Any] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            merged |= (
                _value(file, value)
                if key is None
                else {ast.literal_eval(key): ast.literal_eval(value)}
            )
        return merged
    return ast.literal_eval(node)


def _source(file: str, name: str) -> str:
    """Return the file of the module that ``name`` stands for in another."""
    for node in tree(file).body:
        if isinstance(node, ast.ImportFrom) and name in [alias.name for alias in node.names]:
            parts = [*(node.module or "").split("."), f"{name}.py"]
            if not node.level and parts[0] == LIBRARY_NAME:
                return "/".join(parts[1:])
            if os.path.isabs(file):
                found = _beside(Path(file), node.level, "/".join(filter(None, parts)))
                if found:
                    return str(found)
    raise ValueError(f"{name} is no module of this library")


def _beside(file: Path, level: int, inner: str) -> Path | None:
    """Return where a file from outside finds a module: above it by its name, or beside it."""
    above = [file.parents[level - 1]] if level else file.parents
    return next((folder / inner for folder in above if (folder / inner).is_file()), None)


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
