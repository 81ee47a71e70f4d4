"""The words of a refused config: where a value stands, what is wrong with it, and what may have
been meant."""

# A config holds values of any type until it is checked.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from distillery.errors import UserError, hint

_TYPES = {
    "integer": "a whole number",
    "number": "a number",
    "string": "a text",
    "boolean": "true or false",
    "array": "a list",
    "object": "a block of keys",
}
# The kinds of pydantic's errors: a value of another type, and one beyond a limit.
_OTHER_TYPE = {
    "int_type": "integer",
    "float_type": "number",
    "string_type": "string",
    "bool_type": "boolean",
    "list_type": "array",
    "dict_type": "object",
    "model_type": "object",
}
_LIMITS = {
    "greater_than_equal": ("ge", "{} or more"),
    "greater_than": ("gt", "above {}"),
    "less_than_equal": ("le", "{} or less"),
    "less_than": ("lt", "below {}"),
}
_FLOAT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
# A block of one of several kinds says which by this key.
_KIND = "kind"
_UNKNOWN = ("extra_forbidden", "invalid_key")
_EMPTY = ("too_short", "string_too_short")


def number(text: str) -> int | float | None:
    """Return the number that a text writes, ``None`` where it writes none."""
    try:
        return int(text)
    except ValueError:
        return float(text) if _FLOAT.fullmatch(text) else None


def known(where: str, what: str, name: object, names: Iterable[object]) -> None:
    """Check that a name is one of those that are known in this place.

    Raises:
        UserError: it is not; the line says which may have been meant.
    """
    names = list(names)
    if name not in names:
        raise UserError(f"{where}: unknown {what} {name!r}; {_known(name, names)}")


def _known(name: object, names: Iterable[object]) -> str:
    texts = [str(each) for each in names]
    return f"{hint(name, texts)}{'known are ' + ', '.join(texts) if texts else 'there are none'}"


def step(where: str, key: object) -> str:
    """Return the place of an item, from the place of what holds it."""
    if isinstance(key, int):
        return f"{where}[{key}]"
    return f"{where}: {key}" if where == "config" else f"{where}.{key}"


def refused(
    where: str, error: ValidationError, value: object, schema: Mapping[str, Any]
) -> UserError:
    """Say what is wrong with a value, in one line in the user's words.

    Args:
        where: the place of the value.
        error: what pydantic raised.
        value: what was checked.
        schema: the JSON schema of what it should be.
    """
    path, kind, details = _foremost(error, value)
    unknown, missing = kind in _UNKNOWN, kind == "missing"
    for key in path[:-1] if unknown or missing else path:
        where = step(where, key)
    if missing:
        return UserError(f"{where}: the key {path[-1]!r} is missing")
    if unknown:
        fields = _at(schema, path[:-1], schema, value).get("properties", {})
        return UserError(f"{where}: unknown key {path[-1]!r}; {_known(path[-1], fields)}")
    return UserError(f"{where}: {_wrong(kind, details, _at(schema, path, schema, value))}")


def _foremost(error: ValidationError, value: object) -> tuple[list[Any], str, Mapping[str, Any]]:
    """Return the error to report: the one nearest to the top, and of the alternatives of one value
    the one that came furthest.

    Returns:
        The path of the value, the kind of the error (``union`` where it is none of several types)
        and what pydantic says of it.
    """
    places: dict[str, list[tuple[list[Any], Mapping[str, Any]]]] = {}
    ranks: dict[str, tuple[int, bool]] = {}
    for details in error.errors(include_url=False):
        path, depth = _path(details["loc"], value)
        top, missing = str(path[:depth]), details["type"] == "missing"
        # A misspelt key comes before one that is then missing; both are errors of their block.
        inside = missing or details["type"] in _UNKNOWN
        ranks.setdefault(top, (depth - inside, missing))
        places.setdefault(top, []).append((path, details))
    first = min(ranks, key=ranks.__getitem__)
    furthest = max(len(path) for path, _ in places[first])
    left = [(path, details) for path, details in places[first] if len(path) == furthest]
    fits = [each for each in left if each[1]["type"] not in (*_OTHER_TYPE, "literal_error")]
    path, details = (fits or left)[0]
    return path, "union" if len(left) > 1 and not fits else details["type"], details


def _path(place: Iterable[Any], value: Any) -> tuple[list[Any], int]:
    """Return a place as pydantic names it, without the names of alternative types, and how deep it
    was when the first of these came."""
    path: list[Any] = []
    depth = None
    for key in place:
        if key == "[key]":
            continue  # the key itself, which stands before it
        if isinstance(value, dict) and key == value.get(_KIND) and key not in value:
            continue  # the kind of a block, which stands in it
        if isinstance(value, dict) and (key in value or depth is None):
            value = value.get(key)
        elif isinstance(value, list) and isinstance(key, int):
            value = value[key]
        else:
            depth = len(path) if depth is None else depth
            continue
        path.append(key)
    return path, len(path) if depth is None else depth


def _at(
    node: Mapping[str, Any], path: Iterable[Any], root: Mapping[str, Any], value: Any
) -> Mapping[str, Any]:
    """Return the part of a JSON schema that a path leads to, in what was checked."""
    for key in path:
        forms = _forms(node, root, value)
        value = _within(value, key)
        if isinstance(key, int):
            node = next((form["items"] for form in forms if "items" in form), {})
            continue
        inner = [
            form.get("properties", {}).get(key, form.get("additionalProperties")) for form in forms
        ]
        node = next((form for form in inner if isinstance(form, dict)), {})
    (form, *more) = _forms(node, root, value)
    return node if more else form


def _within(value: Any, key: Any) -> Any:
    """Return what stands under a key, ``None`` where nothing does."""
    if isinstance(value, dict):
        return value.get(key)
    return value[key] if isinstance(value, list) and isinstance(key, int) else None


def _forms(node: Mapping[str, Any], root: Mapping[str, Any], value: Any) -> list[Mapping[str, Any]]:
    """Return the schema of a value, or those of its alternatives."""
    while "$ref" in node:
        node = root["$defs"][node["$ref"].rsplit("/", 1)[-1]]
    if "discriminator" in node:
        kinds = node["discriminator"]["mapping"]
        kind = str(value.get(_KIND)) if isinstance(value, dict) else ""
        return [root["$defs"][kinds.get(kind, next(iter(kinds.values()))).rsplit("/", 1)[-1]]]
    return node.get("anyOf", [node])


def _wrong(kind: str, details: Mapping[str, Any], node: Mapping[str, Any]) -> str:
    """Return what a value must be, and what it is."""
    given, context = details["input"], details.get("ctx", {})
    meant = number(given) if isinstance(given, str) else given
    if kind == "wrong":
        return details["msg"]
    if kind == "union_tag_invalid":
        names = context["expected_tags"].replace("'", "").split(", ")
        return f"unknown kind {context['tag']!r}; {_known(context['tag'], names)}"
    if kind == "union_tag_not_found":
        return f"the key {_KIND!r} is missing"
    if kind == "model_attributes_type":
        return f"must be a block of keys, not {given!r}"
    if kind == "union":
        return f"must be {' or '.join(map(_wanted, node['anyOf']))}, not {given!r}"
    if kind in _LIMITS:
        key, words = _LIMITS[kind]
        limit = context[key]
        limit = int(limit) if float(limit).is_integer() else limit
        return f"must be {words.format(limit)}, not {meant!r}"
    if kind == "int_type" and isinstance(meant, float) and meant.is_integer() and meant < 2**63:
        return f"must be a whole number: write {int(meant)}, not {given!r}"
    if kind in _OTHER_TYPE:
        return f"must be {_TYPES[_OTHER_TYPE[kind]]}, not {given!r}"
    if kind == "literal_error":
        expected = context["expected"].replace("'", "").replace(" or ", ", ")
        names = node.get("enum", [node["const"]] if "const" in node else [expected])
        return f"must be one of {', '.join(map(str, names))}, not {given!r}"
    if kind in _EMPTY:
        return f"must not be empty, not {given!r}"
    if kind == "string_pattern_mismatch":
        return f"must match {context['pattern']}, not {given!r}"
    return details["msg"]


def _wanted(form: Mapping[str, Any]) -> str:
    """Return one of the forms that a value may have."""
    if "const" in form:
        return f"`{form['const']}`"
    limits = {"minimum": " of {} or more", "exclusiveMinimum": " above {}"}
    return _TYPES[form["type"]] + "".join(
        words.format(int(form[rule]) if float(form[rule]).is_integer() else form[rule])
        for rule, words in limits.items()
        if rule in form
    )
