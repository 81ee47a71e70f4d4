"""Blocks of settings, and the overrides that change them for some cells."""

# A config holds values of any type until it is checked.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from distillery.errors import UserError


def listed(value: Any) -> list[Any]:
    """Return a value that may be one or a list of them, as a list."""
    return list(value) if isinstance(value, list) else [value]


def blocks(where: str, block: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return a block of settings and each of its overrides, with where they stand."""
    yield where, {key: value for key, value in block.items() if key != "overrides"}
    overrides = block.get("overrides", [])
    if not isinstance(overrides, list):
        raise UserError(
            f"{where}.overrides: must be a list of blocks with `when`, not {overrides!r}"
        )
    for number, override in enumerate(overrides):
        place = f"{where}.overrides[{number}]"
        if not isinstance(override, dict) or not isinstance(override.get("when"), dict):
            raise UserError(
                f"{place}: must have a `when` block that names the cells it is for, such as "
                "{when: {ipc: 10}, …}"
            )
        yield place, dict(override)


def resolve(
    block: Mapping[str, Any], cell: Mapping[str, Any], drop: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return a block's settings for one cell: its own, then those of each override whose ``when``
    matches, in order."""
    settings = {
        key: value for key, value in block.items() if key != "overrides" and key not in drop
    }
    for override in block.get("overrides", []):
        when = override["when"]
        if all(set(listed(cell.get(key))) & set(listed(value)) for key, value in when.items()):
            settings.update({key: value for key, value in override.items() if key != "when"})
    return copy.deepcopy(settings)
