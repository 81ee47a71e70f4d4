"""A job's state as a tree, taken apart into named tensors and an outline in JSON, and put together
again.

A tree is any nesting of dicts (with texts as keys), lists, tuples, NamedTuples and dataclasses. Its
leaves are tensors, generators (of the CPU), numbers, truth values, texts and ``None``.
"""

# A tree holds anything.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

# What JSON gives back as it was.
_PLAIN = (bool, int, float, str, type(None))


def take_apart(tree: Any) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors of a tree by their paths (``network/0.weight``), in the order in which
    they stand in it, and its outline, which goes through JSON.

    A generator is kept as its state.

    Raises:
        TypeError: a leaf, or the key of a dict, is of another type.
    """
    tensors: dict[str, Tensor] = {}
    storages: set[int] = set()

    def keep(path: str, tensor: Tensor) -> str:
        # Two paths may look alike where a key holds a slash; two tensors may share their memory,
        # which a file cannot.
        while path in tensors:
            path += "'"
        storage = tensor.untyped_storage().data_ptr()
        tensors[path] = tensor.detach().clone() if storage in storages else tensor.detach()
        storages.add(storage)
        return path

    def walk(path: str, node: Any) -> dict[str, Any]:
        def parts(named: Iterable[tuple[Any, Any]]) -> list[list[Any]]:
            return [[name, walk(f"{path}/{name}" if path else str(name), v)] for name, v in named]

        if isinstance(node, Tensor):
            return {"tensor": keep(path, node)}
        if isinstance(node, torch.Generator):
            return {"generator": keep(path, node.get_state())}
        if type(node) in _PLAIN:
            return {"value": node}
        if isinstance(node, dict) and all(type(key) is str for key in node):
            return {"dict": parts(node.items())}
        if (fields := _fields(node)) is not None:
            return {"fields": parts((name, getattr(node, name)) for name in fields)}
        if type(node) in (list, tuple):
            return {type(node).__name__: parts(enumerate(node))}
        raise TypeError(f"{path or 'a tree'}: a state cannot hold {type(node).__name__}")

    outline = walk("", tree)
    return tensors, outline


def put_together(
    outline: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    like: Any,
    device: torch.device | str,
) -> Any:
    """Build the tree that :func:`take_apart` took apart.

    Args:
        outline: what it returned first, as a file gave it back.
        tensors: what it returned second.
        like: a tree that has the NamedTuples and dataclasses of the one that was kept, at the same
            places: a file names no type. Other parts of it are not looked at.
        device: where the tensors go; generators are of the CPU.

    Raises:
        TypeError: ``like`` has no such fields where the tree has a NamedTuple or a dataclass.
    """
    ((kind, held),) = outline.items()
    if kind == "value":
        return held
    if kind == "tensor":
        return tensors[held].to(device)
    if kind == "generator":
        generator = torch.Generator()
        generator.set_state(tensors[held])
        return generator

    parts = {name: put_together(part, tensors, _part(like, name), device) for name, part in held}
    if kind == "dict":
        return parts
    if kind == "fields":
        if _fields(like) != list(parts):
            raise TypeError(f"{type(like).__name__} has not the fields {', '.join(parts)}")
        return type(like)(**parts)
    return {"list": list, "tuple": tuple}[kind](parts.values())


def _fields(node: Any) -> list[str] | None:
    """Return the names of the fields of a NamedTuple or a dataclass; ``None`` for anything else."""
    if isinstance(node, tuple) and hasattr(node, "_fields"):
        return list(node._fields)  # pyright: ignore[reportAttributeAccessIssue]  # as asked
    if dataclasses.is_dataclass(node) and not isinstance(node, type):
        return [field.name for field in dataclasses.fields(node)]
    return None


def _part(tree: Any, name: str | int) -> Any:
    """Return the part of a tree at a key, a field or a place; ``None`` where it has none."""
    if isinstance(tree, dict):
        return tree.get(name)
    if isinstance(name, int):
        return tree[name] if isinstance(tree, list | tuple) and name < len(tree) else None
    return getattr(tree, name, None)
