"""Which of several errors is reported, and where it stands."""

import re

import pytest

from distillery.errors import UserError
from distillery.study import reference
from distillery.study.reading import sections
from tests.unit.study.small import refusal

CONFIG = {"study": "Test", "grid": []}
SEVERAL = {
    "a misspelt key before the key that is then missing": (
        {"studdy": "Test", "grid": []},
        "config: unknown key 'studdy'; did you mean 'study'?",
    ),
    "the first missing key in the order of the models": (
        {**CONFIG, "grid": [{"dataset": "digits"}]},
        "config: grid[0]: the key 'method' is missing",
    ),
    "an error of a section before one of a key in it": (
        {**CONFIG, "evaluate": {"epochs": 0}, "seed": -1},
        "config: seed: must be 0 or more, not -1",
    ),
    "the list of two alternatives, which came further": (
        {**CONFIG, "continual": {"groups": [[0, "a"]]}},
        "config: continual.groups[0][1]: must be a whole number, not 'a'",
    ),
    "neither of two alternatives": (
        {**CONFIG, "continual": {"groups": True}},
        "config: continual.groups: must be a whole number of 1 or more or a list, not True",
    ),
    "a key that is no text": ({**CONFIG, 1: 2}, "config: unknown key 1; known are study"),
    "a name that is no text": (
        {**CONFIG, "experts": {1: {}}},
        "config: experts[1]: must be a text, not 1",
    ),
    "a key of a section in a list": (
        {**CONFIG, "imported": [{"nam": "x"}]},
        "config: imported[0]: unknown key 'nam'; did you mean 'name'?",
    ),
    "a word for true": (
        {**CONFIG, "report": {"incomplete": "perhaps"}},
        "config: report.incomplete: must be true or false, not 'perhaps'",
    ),
    "nothing where a list may be left out": (
        {**CONFIG, "continual": {"memory": {"ipc": None}}},
        "config: continual.memory.ipc: must be a list, not None",
    ),
    "a number as a text beyond any file": (
        {**CONFIG, "seed": "9" * 40},
        "config: seed: must be below 2 to the power of 63, not a number of such length",
    ),
    "an unknown augmentation": (
        {**CONFIG, "evaluate": {"robust": {"augment": "das"}}},
        "config: evaluate.robust.augment: must be one of ",
    ),
}


@pytest.mark.parametrize("name", SEVERAL)
def test_one_line_is_reported(name):
    config, message = SEVERAL[name]
    with pytest.raises(UserError) as caught:
        sections(config)
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)


def levels(root, node=None, place="config"):
    """Every block of keys of the schema that stands at a fixed place, with this place."""
    node = root if node is None else node
    if "$ref" in node:
        node = root["$defs"][node["$ref"].rsplit("/", 1)[-1]]
    if "properties" in node:
        yield place, node["properties"]
        for name, rule in node["properties"].items():
            yield from levels(root, rule, name if place == "config" else f"{place}.{name}")


@pytest.mark.slow
def test_what_may_have_been_meant_is_a_key_of_the_same_level():
    everywhere = {key for _, properties in levels(reference.json_schema()) for key in properties}
    tried = 0
    # A different quarter of the keys for each block: each key is tried in several.
    for number, (place, known) in enumerate(levels(reference.json_schema())):
        for key in sorted(everywhere - known.keys())[number % 4 :: 4]:
            told = refusal(**{key if place == "config" else f"{place}.{key}".replace(".", "__"): 1})
            meant = re.search(r"did you mean '(\w+)'", told)
            assert f"unknown key '{key}'" in told and (meant is None or meant.group(1) in known), (
                told
            )
            tried += 1
    assert tried > 200
    assert "did you mean" not in refusal(
        models=3
    )  # which is a key of `evaluate`, and not nearly `methods`
