"""Config files as they were written: what a reader of YAML or JSON takes without a word, and a user
did not mean."""

# PyYAML has no types.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

import errno
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from distillery.errors import UserError
from distillery.plugins import Dataset
from distillery.study import checks
from distillery.study.study import Study

# libyaml's reader, where it is there, is ten times as fast.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def check(path: str | Path) -> None:
    """Refuse a config file that cannot be read, or of which a part would be dropped.

    Args:
        path: a YAML or JSON file in UTF-8, one block of keys.

    Raises:
        UserError: it is missing, no file, not in UTF-8, neither YAML nor JSON, has a key twice, or
            holds itself.
    """
    text = _text(path)
    try:
        json.loads(text, object_pairs_hook=lambda pairs: _once(path, pairs))
        return
    except RecursionError:
        raise UserError(f"{path}: is nested too deeply to be a study") from None
    except ValueError:
        pass  # YAML, then
    try:
        root = yaml.compose(text, LOADER)
    except RecursionError:
        raise UserError(f"{path}: is nested too deeply to be a study") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: {_place(error)}is not YAML: {_problem(error)}") from None
    if not isinstance(root, yaml.MappingNode):
        raise UserError(
            f"{path}: must be a block of keys, such as `study: A first look`, not {_kind(root)}"
        )
    _look(path, root)


def merged(paths: Iterable[str | Path]) -> dict[str, Any]:
    """Return the config that files are together, each of which changes those before it, as
    Snakemake merges them.

    Raises:
        UserError: as :func:`check`.
    """
    config: dict[str, Any] = {}
    for path in paths:
        check(path)
        _update(config, yaml.safe_load(_text(path)))
    return config


def _update(config: dict[str, Any], changes: Mapping[str, Any]) -> None:
    for key, value in changes.items():
        known = config.get(key)
        if isinstance(value, dict) and isinstance(known, dict):
            _update(known, value)
        else:
            config[key] = value


def study(config: Mapping[str, Any], datasets: Mapping[str, Dataset] | None = None) -> Study:
    """Return the study of a config, whose parts go together.

    Args:
        config: as loaded from YAML; it is not changed.
        datasets: that the config may name beside those of the library, by name.

    Raises:
        UserError: the config cannot be run; one line says where, what is wrong and what would be
            right.
    """
    read = Study(config, datasets)
    checks.check(read)
    return read


def _text(path: str | Path) -> str:
    try:
        return Path(path).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}: is not text in UTF-8 (byte {error.start} is "
            f"0x{error.object[error.start]:02x}); save it as UTF-8"
        ) from None
    except OSError as error:
        raise UserError(f"{path}: {_cannot_read(error)}") from None


def _cannot_read(error: OSError) -> str:
    if error.errno == errno.ENOENT:
        return "there is no such config file; name one that exists by --configfile"
    if error.errno == errno.EISDIR:
        return "is a folder; name the config file in it"
    if error.errno == errno.ELOOP:
        return "is a link that leads back to itself; name the config file"
    return f"cannot be read: {error.strerror}"


def _once(path: str | Path, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object whose keys differ."""
    unique: dict[str, Any] = {}
    for key, value in pairs:
        if key in unique:
            raise UserError(_twice(path, key))
        unique[key] = value
    return unique


def _twice(path: str | Path, key: str, lines: str = "") -> str:
    one = "; a list under one `grid:` holds all blocks" if key == "grid" else ""
    return (
        f"{path}: {lines}the key {key!r} stands twice in one block, and the first would be "
        f"dropped; keep one{one}"
    )


def _look(path: str | Path, root: yaml.Node) -> None:
    """Raise where a key stands twice in a block, or a block holds itself. Each node is looked at
    once, however many aliases it has."""
    done: set[int] = set()
    above: set[int] = set()
    # Without recursion: a file may be nested deeper than Python's stack.
    todo: list[tuple[yaml.Node, bool]] = [(root, False)]
    while todo:
        node, leaving = todo.pop()
        if leaving:
            above.discard(id(node))
            done.add(id(node))
            continue
        if id(node) in above:
            raise UserError(
                f"{path}: line {node.start_mark.line + 1}: this block holds itself (an alias `*` "
                "within its own anchor `&`); write it out"
            )
        if id(node) in done or isinstance(node, yaml.ScalarNode):
            continue
        if isinstance(node, yaml.MappingNode):
            _differ(path, node)
        above.add(id(node))
        todo.append((node, True))
        todo += [(child, False) for child in _children(node)]


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    for item in node.value:
        yield from item if isinstance(item, tuple) else [item]


def _differ(path: str | Path, block: yaml.MappingNode) -> None:
    seen: dict[tuple[str, str], int] = {}
    for key, _ in block.value:
        if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
            continue
        line = key.start_mark.line + 1
        if (key.tag, key.value) in seen:
            raise UserError(
                _twice(path, key.value, f"lines {seen[key.tag, key.value]} and {line}: ")
            )
        seen[key.tag, key.value] = line


def _place(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    return f"line {mark.line + 1}: " if mark else ""


def _problem(error: yaml.YAMLError) -> str:
    """Return what the reader says, and what to do about the commonest cause."""
    problem = " ".join(
        str(
            getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be read"
        ).split()
    )
    if "'\\t'" in problem or "tab" in problem:
        problem += "; indent by spaces"
    return problem


def _kind(node: yaml.Node | None) -> str:
    if node is None:
        return "an empty file"
    return "a list" if isinstance(node, yaml.SequenceNode) else f"the text {node.value[:40]!r}"
