"""Values as a schema means them: YAML 1.1 reads `1e-5` as a text, and Snakemake's `--config`
whatever is nested."""

import re
from typing import Any

_FLOAT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_BOOLEANS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def read(value: Any, schema: dict[str, Any], root: dict[str, Any]) -> Any:
    """``value`` with the texts that are numbers or truth values where the schema wants these, and
    nowhere else.

    Blocks and lists are changed in place. What does not fit the schema is left for the check to
    refuse.

    Args:
        schema: a JSON schema, or a part of one.
        root: the schema that holds its ``$defs``.
    """
    options = list(_options(schema, root))
    if isinstance(value, dict):
        for option in options:
            for key in value:
                inner = option.get("properties", {}).get(key, option.get("additionalProperties"))
                if isinstance(inner, dict):
                    value[key] = read(value[key], inner, root)
    elif isinstance(value, list):
        for option in options:
            if isinstance(option.get("items"), dict):
                value[:] = [read(item, option["items"], root) for item in value]
    elif isinstance(value, str):
        return _meant(value, options)
    elif value is False and any("off" in option.get("enum", ()) for option in options):
        return "off"  # YAML 1.1 reads a bare `off` as false
    return value


def number(text: str) -> int | float | None:
    """The number that a text writes, ``None`` where it writes none."""
    try:
        return int(text)
    except ValueError:
        return float(text) if _FLOAT.fullmatch(text) else None


def _options(schema: dict[str, Any], root: dict[str, Any]):
    """The forms that a value may have: the schema itself, or each of its alternatives."""
    while "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rsplit("/", 1)[-1]]
    for option in schema.get("anyOf", ()):
        yield from _options(option, root)
    if "anyOf" not in schema:
        yield schema


def _meant(text: str, options: list[dict[str, Any]]) -> Any:
    if any(
        option.get("type") == "string"
        or text in option.get("enum", ())
        or text == option.get("const")
        for option in options
    ):
        return text
    wanted = {option.get("type") for option in options}
    found = number(text)
    if isinstance(found, int) and wanted & {"integer", "number"}:
        return found
    if found is not None and "number" in wanted:
        return found
    if "boolean" in wanted:
        return _BOOLEANS.get(text.lower(), text)
    return text
