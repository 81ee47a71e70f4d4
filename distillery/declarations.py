"""What a plug-in's file declares, read from its source and checked before any job starts.

A kind of plug-in is a frozen dataclass, whose fields are made here: each has what it must be, in
words and as a test. A field that is missing or wrong is named, with its file, in one line.
"""

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from distillery import literals
from distillery.errors import UserError, hint
from distillery.literals import shown

# What only tables and charts read: it stands beside ``SPEC``, whose every key is of the data.
SHOWN = ("title", "order")
# Where a new plug-in stands in tables: after those that say where.
LAST = 1000
NAME = re.compile("[A-Za-z][A-Za-z0-9_]*")

_Kind = TypeVar("_Kind")


# ---- the fields ----------------------------------------------------------------------------------


def is_text(value: Any) -> bool:
    """Return whether a value is a text that is not blank."""
    return isinstance(value, str) and bool(value.strip())


def is_whole(value: Any, least: int = 0) -> bool:
    """Return whether a value is a whole number of ``least`` or more; a truth value is none."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def is_number(value: Any) -> bool:
    """Return whether a value is a number; a truth value is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def field(what: str, fits: Callable[[Any], bool], default: Any = dataclasses.MISSING) -> Any:
    """Return a field of a plug-in: what it must be, in words and as a test, and its default."""
    metadata = {"what": what, "fits": fits}
    if isinstance(default, dict):
        return dataclasses.field(default_factory=default.copy, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def text(default: Any = dataclasses.MISSING) -> Any:
    """Return a field that must be a text."""
    return field("a text", is_text, default)


def count(least: int = 1) -> Any:
    """Return a field that must be a whole number of ``least`` or more."""
    return field(f"a whole number of {least} or more", lambda value: is_whole(value, least))


def size() -> Any:
    """Return a field that must be the size of an image."""

    def fits(value: Any) -> bool:
        if isinstance(value, list | tuple):
            return len(value) == 2 and all(is_whole(side, 1) for side in value)
        return is_whole(value, 1)

    return field("pixels a side, or a list of height and width", fits)


def flag(default: Any = dataclasses.MISSING) -> Any:
    """Return a field that must be a truth value."""
    return field("True or False", lambda value: isinstance(value, bool), default)


def condition() -> Any:
    """Return a field that must be a truth value, or say by which settings it is true."""
    return field(
        "True, False or a block of settings and the values that bring it",
        lambda value: (
            isinstance(value, bool)
            or (isinstance(value, dict) and all(isinstance(each, list) for each in value.values()))
        ),
        False,
    )


def numbers() -> Any:
    """Return a field that must be a list of numbers, one a channel."""
    return field(
        "a list of numbers, one a channel",
        lambda value: (
            isinstance(value, list | tuple) and bool(value) and all(map(is_number, value))
        ),
    )


def block(what: str = "a block of keys", default: Any = dataclasses.MISSING) -> Any:
    """Return a field that must be a block of keys."""
    return field(what, lambda value: isinstance(value, dict), default)


def order() -> Any:
    """Return the field of a plug-in's place in tables."""
    return field("a number", is_number, LAST)


# ---- from files to kinds -------------------------------------------------------------------------


def refuse_unbound(file: str, needed: Iterable[str]) -> None:
    """Raise ``UserError`` where a module does not bind each of the names ``needed``."""
    for name in needed:
        if name not in literals.names(file):
            raise UserError(f"{shown(file)}: {name}: is missing")


def fields_of(kind: type) -> list[str]:
    """Return the names of the fields that a file binds."""
    return [field.name for field in dataclasses.fields(kind) if "fits" in field.metadata]


def bound(file: str, fields: Iterable[str]) -> dict[str, Any]:
    """Return those of ``fields`` that a file binds in capitals."""
    names = literals.names(file)
    return {field: _literal_of(file, field.upper()) for field in fields if field.upper() in names}


def specified(file: str, kind: type) -> dict[str, Any]:
    """Return the fields of ``kind`` that a file binds: the keys of ``SPEC``, and ``TITLE`` and
    ``ORDER``."""
    if "SPEC" not in literals.names(file):
        raise UserError(f"{shown(file)}: SPEC: is missing")
    spec = _literal_of(file, "SPEC")
    if not isinstance(spec, dict):
        raise wrong(file, "SPEC", "a block of keys", spec)
    known = ["name", *(field for field in fields_of(kind) if field not in SHOWN)]
    for key in spec:
        if key not in known:
            raise UserError(
                f"{shown(file)}: SPEC: unknown key {key!r}; {hint(key, known)}known are "
                f"{', '.join(known)}"
            )
    if "name" not in spec:
        raise UserError(f"{shown(file)}: SPEC.name: is missing; it must be a text")
    name, module = spec["name"], Path(file).stem
    if not isinstance(name, str):
        raise wrong(file, "SPEC.name", "a text", name)
    if not NAME.fullmatch(name):
        raise wrong(file, "SPEC.name", "of letters, digits and underscores, a letter first", name)
    if name.lower() != module:
        what = kind.__name__.lower()
        raise UserError(
            f"{shown(file)}: holds the {what} {name}, so it must be called {name.lower()}.py"
        )
    return {**spec, **bound(file, SHOWN), "module": module, "spec": spec}


def built(file: str, kind: type[_Kind], values: Mapping[str, Any]) -> _Kind:
    """Return the plug-in of these fields, each of which is what it must be.

    Raises:
        UserError: a field is missing or wrong.
    """
    in_spec = "spec" in values
    given = dict(values)
    # Every kind is a dataclass, which no type can say.
    for field in dataclasses.fields(kind):  # pyright: ignore[reportArgumentType]
        if "fits" not in field.metadata:
            continue
        capitals = field.name in SHOWN or not in_spec
        place = field.name.upper() if capitals else f"SPEC.{field.name}"
        if field.name in given:
            if not field.metadata["fits"](given[field.name]):
                raise wrong(file, place, field.metadata["what"], given[field.name])
        elif field.default is field.default_factory is dataclasses.MISSING:
            raise UserError(
                f"{shown(file)}: {place}: is missing; it must be {field.metadata['what']}"
            )
    given["title"] = given.get("title") or given["name"]
    return kind(**given)


_TYPES = ("integer", "number", "string", "boolean")
_RULES = {
    *("type", "enum", "const", "anyOf", "default", "description"),
    *("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"),
}


def checked_settings(file: str, place: str, rules: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as a plug-in declares them: name to JSON-schema property.

    Raises:
        UserError: one is not declared so that a value could be checked against it.
    """
    for name, rule in rules.items():
        where = f"{place}.{name}"
        if not isinstance(rule, dict):
            raise wrong(file, where, "a block with `type`, `default` and `description`", rule)
        for key in ("default", "description"):
            if key not in rule:
                raise UserError(f"{shown(file)}: {where}: {key}: is missing")
        forms = rule["anyOf"] if isinstance(rule.get("anyOf"), list) else [rule]
        for form in forms:
            unknown = next((key for key in form if key not in _RULES), None)
            if unknown is not None:
                raise UserError(
                    f"{shown(file)}: {where}: unknown key {unknown!r}; "
                    f"{hint(unknown, _RULES)}known are {', '.join(sorted(_RULES))}"
                )
            if form.get("type") not in (*_TYPES, None):
                raise wrong(file, f"{where}.type", one_of(_TYPES), form["type"])
            if not {"type", "enum", "const"} & form.keys():
                raise UserError(
                    f"{shown(file)}: {where}: type: is missing; it must be {one_of(_TYPES)}"
                )
    return dict(rules)


def one_of(names: Iterable[str]) -> str:
    """List the values that are possible, for a message."""
    return f"one of {', '.join(names)}"


def wrong(file: str, place: str, what: str, value: Any) -> UserError:
    """Return the error that names a field, what it must be and what it is."""
    return UserError(f"{shown(file)}: {place}: must be {what}, not {value!r}")


def _literal_of(file: str, name: str) -> Any:
    try:
        return literals.literal(file, name)
    except (KeyError, ValueError, TypeError):
        raise UserError(
            f"{shown(file)}: {name}: must be a literal of texts, numbers, lists and blocks, or "
            "that of another module, which is read without running the file"
        ) from None
