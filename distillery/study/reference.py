"""What is written about the config, from the models that check it: the table of keys in
``config/README.md`` and ``config/schema.json``, by which an editor completes keys.

No plug-in is named here: one more file in a folder changes neither.
"""

# A schema holds values of any type.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from distillery.errors import UserError
from distillery.store.files import write_text
from distillery.study.schema import Config

README, SCHEMA = "config/README.md", "config/schema.json"
BEGIN, END = "<!-- keys: made by `make reference` -->", "<!-- end of keys -->"
_TYPES = {"integer": "whole number", "number": "number", "string": "text", "boolean": "true, false"}


def json_schema() -> dict[str, Any]:
    """Return the config as a JSON schema."""
    schema = _untitled(Config.model_json_schema())
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _untitled(node: Any) -> Any:
    """Return a schema without what pydantic adds: titles made of the keys, and defaults that are
    none."""
    if isinstance(node, list):
        return [_untitled(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        key: {name: _untitled(item) for name, item in value.items()}
        if key in ("properties", "$defs")
        else _untitled(value)
        for key, value in node.items()
        if not ((key == "title" and isinstance(value, str)) or (key == "default" and value is None))
    }


def table() -> str:
    """Return the keys in Markdown: those of the top, then a table for each section."""
    root = json_schema()
    sections: list[tuple[str, dict[str, Any]]] = [("", root)]
    lines: list[str] = []
    for name, section in sections:
        rows: list[str] = []
        for key, node in section["properties"].items():
            place = f"{name}.{key}" if name else key
            inner, suffix = _section(node, root)
            if inner is not None:
                sections.append((place + suffix, inner))
            rows.append(_row(key, node, root, required=key in section.get("required", ())))
        if name:
            lines += ["", f"### `{name}`"]
        lines += ["", "| key | what it is | values | default |", "| --- | --- | --- | --- |", *rows]
    return "\n".join(lines).strip()


def _section(node: Mapping[str, Any], root: Mapping[str, Any]) -> tuple[Any, str]:
    """Return the section that a key holds, and what its place ends in where it holds several."""
    for suffix, part in (("", node), ("[…]", node.get("items")), (".NAME", _extra(node))):
        if isinstance(part, dict) and "$ref" in part:
            return _defined(part["$ref"], root), suffix
        if isinstance(part, dict) and "discriminator" in part:
            return _of_kinds(part["discriminator"], root), suffix
    return None, ""


def _defined(reference: str, root: Mapping[str, Any]) -> Any:
    return root["$defs"][reference.rsplit("/", 1)[-1]]


def _of_kinds(discriminator: Mapping[str, Any], root: Mapping[str, Any]) -> dict[str, Any]:
    """Return one section of the keys of several kinds; what only some have says which."""
    key = discriminator["propertyName"]
    kinds = {name: _defined(part, root) for name, part in discriminator["mapping"].items()}
    properties: dict[str, Any] = {}
    for kind in kinds.values():
        for name, node in kind["properties"].items():
            if name not in properties or node.get("default") is not None:
                properties[name] = node
    for name, node in properties.items():
        having = [kind for kind, section in kinds.items() if name in section["properties"]]
        if name == key:
            properties[name] = {"enum": having, "description": node["description"]}
        elif len(having) < len(kinds):
            text = f"Of {' and '.join(having)}: {node['description']}"
            properties[name] = {**node, "description": text}
    required = [
        name
        for name in properties
        if any(name in section.get("required", ()) for section in kinds.values())
    ]
    return {"properties": properties, "required": required}


def _extra(node: Mapping[str, Any]) -> Any:
    return node.get("additionalProperties")


def _row(key: str, node: Mapping[str, Any], root: Mapping[str, Any], required: bool) -> str:
    inner, _ = _section(node, root)
    default = "" if inner is not None or node.get("default") is None else _text(node["default"])
    default = "required" if required else f"`{default}`" if default else ""
    values = "see below" if inner is not None else " or ".join(_values(node))
    # Pydantic leaves out what the section itself says in the same words.
    about = node.get("description") or (inner or {}).get("description")
    return f"| `{key}` | {about} | {values} | {default} |".replace("\n", " ")


def _values(node: Mapping[str, Any]) -> Iterator[str]:
    """Return the forms that a value may have, in words."""
    if "anyOf" in node:
        for form in node["anyOf"]:
            yield from _values(form)
    elif "const" in node:
        yield f"`{node['const']}`"
    elif "enum" in node:
        yield ", ".join(f"`{value}`" for value in node["enum"])
    elif node.get("type") == "array":
        yield f"list of {' or '.join(_values(node['items']))}"
    elif node.get("type") == "object":
        yield "block"
    else:
        yield _TYPES[node["type"]] + _limits(node)


def _limits(node: Mapping[str, Any]) -> str:
    low = next((node[key] for key in ("minimum", "exclusiveMinimum") if key in node), None)
    high = next((node[key] for key in ("maximum", "exclusiveMaximum") if key in node), None)
    above = "above " if "exclusiveMinimum" in node else ""
    below = "below " if "exclusiveMaximum" in node else ""
    if low is None:
        return ""
    if high is None:
        return f", {above}{low:g}" if above else f", {low:g} or more"
    return f", {above}{low:g} to {below}{high:.10g}"


def _text(value: Any) -> str:
    """Return a value as YAML has it."""
    if isinstance(value, list):
        return f"[{', '.join(map(_text, value))}]"
    if isinstance(value, dict):
        return "{}" if not value else json.dumps(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def files(root: Path) -> dict[Path, str]:
    """Return what the files of the reference must hold.

    Args:
        root: the checkout.

    Raises:
        UserError: the README there has no place for the table.
    """
    readme = (root / README).read_text(encoding="utf-8")
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise UserError(f"{README}: has no lines {BEGIN} and {END}, between which the keys stand")
    return {
        root / README: f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}",
        root / SCHEMA: json.dumps(json_schema(), indent=2) + "\n",
    }


def write(root: Path) -> list[Path]:
    """Write the reference into a checkout; returns the files that changed.

    Raises:
        UserError: the README there has no place for the table.
        OSError: a file cannot be written.
    """
    changed = [
        path
        for path, text in files(root).items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]
    for path in changed:
        write_text(path, files(root)[path])
    return changed
