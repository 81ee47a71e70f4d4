"""Presets: the recipe under which a method was published, by the method's name.

The keys of a preset stand in the method's own file (``PROTOCOL``). They are written out before a
config is checked, so that nothing but resolved values is ever compared, stored or shown.
"""

# A config holds values of any type until it is checked.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

from collections.abc import Iterator, Mapping
from typing import Any

from distillery.plugins import Method
from distillery.study.messages import known
from distillery.study.overrides import listed
from distillery.vocabulary import HARD, OWN, TEACHER

KEY = "preset"
# What a protocol leaves out where it is as usual, and must not be left as the section has it.
_USUAL = {"optimiser": "sgd", "mix": "none", "labels": [OWN]}
# How many networks are trained is no part of how they are.
_NO_RECIPE = ("models", "overrides")
# What the overrides of a section may be for, where it is less than a cell and a network.
_SECTIONS: dict[str, tuple[str, ...] | None] = {
    "evaluate": None,
    "vanilla": ("dataset", "network"),
}


def recipe(protocol: Mapping[str, Any]) -> dict[str, Any]:
    """Return every key of a recipe that a protocol decides."""
    return _USUAL | {key: value for key, value in protocol.items() if key not in _NO_RECIPE}


def expanded(config: Mapping[str, Any], methods: Mapping[str, Method]) -> dict[str, Any]:
    """Return a config, as it was written, with the keys of each preset in the preset's place. Keys
    that are named beside it win.

    What is not of the shape of a config is left for who checks it.

    Raises:
        UserError: a preset is no method's name.
    """
    complete = dict(config)
    for section, differ_in in _SECTIONS.items():
        block = config.get(section)
        if not isinstance(block, dict):
            continue
        overrides = block.get("overrides", [])
        if not isinstance(overrides, list):
            continue
        base = {key: value for key, value in block.items() if key != "overrides"}
        first, *special = _written_out(f"config: {section}", base, methods, section, differ_in)
        for number, override in enumerate(overrides):
            place = f"config: {section}.overrides[{number}]"
            if isinstance(override, dict) and isinstance(override.get("when"), dict):
                special += _written_out(place, override, methods, section, differ_in)
            else:
                special.append(override)
        complete[section] = first | ({"overrides": special} if special or overrides else {})
    return complete


def _written_out(
    where: str,
    block: dict[str, Any],
    methods: Mapping[str, Method],
    section: str,
    differ_in: tuple[str, ...] | None,
) -> Iterator[dict[str, Any]]:
    """Return a block or an override without a preset, and the overrides that the preset brings."""
    name = block.get(KEY)
    if not isinstance(name, str):
        yield block
        return
    known(where, "preset, which is a method's name,", name, methods)
    named = {key: value for key, value in block.items() if key not in (KEY, "when")}
    protocol = methods[name].protocol
    when = {"when": block["when"]} if "when" in block else {}
    yield when | _joined(_fitted(recipe(protocol), section), named)
    for override in protocol.get("overrides", ()):
        cells = _both(block.get("when", {}), override["when"])
        if cells is None or not set(cells) <= set(differ_in or cells):
            continue
        changed = {key: value for key, value in override.items() if key not in ("when", *named)}
        if changed:
            yield {"when": cells} | _fitted(changed, section)


def _fitted(keys: dict[str, Any], section: str) -> dict[str, Any]:
    """Return the keys of a recipe as a section has them: real images have hard labels and no step
    size."""
    if section == "vanilla":
        if "labels" in keys:
            keys = keys | {"labels": TEACHER if TEACHER in keys["labels"] else HARD}
        if keys.get("lr") == "learned":
            keys = keys | {"lr": 0.01}
    return keys


def _joined(preset: dict[str, Any], named: dict[str, Any]) -> dict[str, Any]:
    """Return a preset's keys, changed by those named beside it; a teacher key by key."""
    joined = preset | named
    ours, theirs = named.get(TEACHER), preset.get(TEACHER)
    if isinstance(ours, dict) and isinstance(theirs, dict):
        joined[TEACHER] = {**theirs, **ours}
    return joined


def _both(when: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what names the cells that both name; ``None`` where there can be none."""
    cells: dict[str, Any] = dict(when)
    for key, value in other.items():
        wanted = [each for each in listed(value) if key not in when or each in listed(when[key])]
        if not wanted:
            return None
        cells[key] = wanted
    return cells
