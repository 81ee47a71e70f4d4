"""Networks that a config names by their factory: checked without importing it."""

# A config holds values of any type until it is checked.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

import ast
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from distillery import declarations, outside
from distillery.errors import UserError, hint
from distillery.plugins import Network
from distillery.study import schema
from distillery.study.messages import refused
from distillery.study.overrides import listed

# Libraries whose networks go by the library's name, a colon and theirs, and the extra of this
# package that brings each.
LIBRARIES = {"torchvision": "workflow", "timm": "timm"}


def plain(name: Any) -> Any:
    """Return the name of a network in folders and files, such as ``torchvision_resnet18``."""
    library, colon, _ = name.partition(":") if isinstance(name, str) else ("", "", "")
    if colon and library in LIBRARIES:
        return re.sub("[^A-Za-z0-9_]", "_", name)
    return name


def name_plainly(config: dict[str, Any]) -> None:
    """Give the networks of torchvision and timm that a config names their plain names, in place,
    and each a block with its factory.

    Args:
        config: its sections, read.
    """
    blocks = config["networks"]
    for name in [*blocks, *_named(config)]:
        if plain(name) != name:
            block = blocks.pop(name, {})
            if isinstance(block, dict):
                block = {"factory": name, **block}
            blocks.setdefault(plain(name), block)
    for part in (config["evaluate"], config["vanilla"]):
        part["networks"] = [plain(name) for name in part["networks"]]
        overrides = part.get("overrides")
        for override in overrides if isinstance(overrides, list) else ():
            when = override.get("when") if isinstance(override, dict) else None
            if isinstance(when, dict) and "network" in when:
                names = [plain(name) for name in listed(when["network"])]
                when["network"] = names if isinstance(when["network"], list) else names[0]
    for part in (config, config["continual"], config["search"]):
        part["network"] = plain(part["network"])


def _named(config: Mapping[str, Any]) -> Iterator[str]:
    yield config["network"]
    yield from config["evaluate"]["networks"]
    yield from config["vanilla"]["networks"]
    yield config["continual"]["network"]
    yield config["search"]["network"]


def read(blocks: dict[str, Any], known: Mapping[str, Network]) -> dict[str, Network]:
    """Return the networks of a config's blocks that have a ``factory``, which are read in place.

    Raises:
        UserError: a name is taken, a block is wrong, or a factory is not there.
    """
    networks = {}
    for name, block in blocks.items():
        where = f"config: networks.{name}"
        if not isinstance(block, dict) or "factory" not in block:
            continue
        if name in known or not declarations.NAME.fullmatch(name):
            raise UserError(
                f"{where}: a network with a factory has a name of its own, of letters, digits and "
                "underscores, a letter first"
            )
        try:
            model = schema.Factory.model_validate(block)
        except ValidationError as error:
            raise refused(where, error, block, schema.shape(schema.Factory)) from None
        blocks[name] = model.model_dump()
        source, factory = _found(f"{where}.factory", model.factory)
        networks[name] = Network(
            name=name,
            module=name,
            spec={"name": name, "minimum_size": 1},
            minimum_size=1,
            title=name,
            source=source,
            factory=factory,
        )
    return networks


def _found(where: str, text: str) -> tuple[str, str]:
    """Return the reference and the name that a factory's text is made of.

    Raises:
        UserError: the text has no such parts, or nothing has that name there.
    """
    place, _, factory = text.rpartition(":")
    names = all(part.isidentifier() for part in factory.split("."))
    if not place or not factory or not (names or place in LIBRARIES):
        raise UserError(
            f"{where}: must be a module or a file and what makes the network in it, such as "
            f"mypackage.nets:make, nets.py:make or torchvision:resnet18, not {text!r}"
        )
    source = outside.MARK + place
    try:
        code = outside.find(source)
    except UserError as error:
        if place in LIBRARIES:
            raise UserError(
                f"{where}: {place} is not installed: pip install "
                f"'dataset-distillery[{LIBRARIES[place]}]'"
            ) from None
        raise UserError(f"{where}: {error}") from None
    if place not in LIBRARIES and code.file.suffix == ".py":
        _check_bound(where, code, factory.partition(".")[0])
    return source, factory


def _check_bound(where: str, code: outside.Code, name: str) -> None:
    """Refuse a module that does not bind a name, as far as its source tells."""
    try:
        tree = ast.parse(code.file.read_bytes())
    except (SyntaxError, ValueError) as error:
        line = f"line {error.lineno}: " if isinstance(error, SyntaxError) else ""
        said = error.msg if isinstance(error, SyntaxError) else str(error)
        raise UserError(f"{where}: {code.file}: {line}is not Python: {said}") from None
    bound = set(_bound(tree))
    if not {name, "*", "__getattr__"} & bound:
        names = sorted(each for each in bound if not each.startswith("_"))
        raise UserError(
            f"{where}: {code.file} binds no {name!r}; {hint(name, names)}it binds "
            f"{', '.join(names[:10]) or 'nothing'}"
        )


def _bound(node: ast.AST) -> Iterator[str]:
    """Return what a module binds at its top level, in a branch too; ``*``: what another does."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield child.name
        elif isinstance(child, ast.Import | ast.ImportFrom):
            yield from (alias.asname or alias.name.partition(".")[0] for alias in child.names)
        elif isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
            yield child.id
        elif not isinstance(child, ast.Lambda):
            yield from _bound(child)
