"""Texts that are numbers, and the other values that YAML does not read as they are meant."""

import re

import pytest
import yaml

from distillery import plugins
from distillery.study import load
from distillery.study.cells import Cell
from tests.unit.study.small import BLOCK, study


def test_a_bare_off_which_yaml_reads_as_false_is_off():
    assert (
        study(**yaml.safe_load("{compute: {compile: off}}")).config["compute"]["compile"] == "off"
    )


# As texts, which `--config 'evaluate={epochs: 3}'` makes of whatever is nested, and as YAML 1.1
# reads numbers without a point.
TEXTS = """
study: "7"
seed: "7"
compute: {threads: "2", compile: "off"}
networks: {ConvNet: {width: "8", depth: "2", norm: none}}
grid: [{dataset: digits, method: [dc, mtt, fast], init: real, ipc: ["1", "5"], seed: "0"}]
methods:
  dc:
    iterations: "3"
    lr_images: 1e-2
    inner: auto
    outer: "2"
    overrides: [{when: {ipc: "5"}, lr_images: 1E-3}]
  mtt: {lr_step_size: 1e-5, expert_epochs: "2", max_start_epoch: "3"}
  fast:
    of: mtt
    lr_step_size: .5e-5
    overrides: [{when: {seed: ["0"], ipc: ["5"]}, lr_images: 1e3}]
experts: {default: {lr: 1e-2, number: "3", overrides: [{when: {dataset: digits}, lr: 2e-2}]}}
evaluate:
  epochs: "3"
  lr: 1e-2
  selection: {test: "false", models: "1"}
  overrides:
    - {when: {ipc: ["1"]}, lr: learned}
    - {when: {seed: "0"}, weight_decay: 5e-4, selection: {test: "no"}}
continual: {groups: [["0", "1", "2", "3", "4"], ["5", "6", "7", "8", "9"]], memory: {ipc: ["1"]}}
"""


NUMBERS = re.sub(
    r"(?<=[ :{[])(\.?\d+)[eE](-?\d+)",
    lambda found: f"{float(found.group()):e}",
    re.sub(r'(?<!study: )"(\w+)"', r"\1", TEXTS),
)


def test_texts_are_read_as_the_numbers_that_they_are_where_numbers_are_wanted():
    texts, numbers = (
        yaml.safe_load(TEXTS),
        yaml.safe_load(NUMBERS.replace("compile: off", "compile: 'off'")),
    )
    assert (
        texts["methods"]["mtt"]["lr_step_size"] == "1e-5"
        and numbers["methods"]["mtt"]["lr_step_size"] == 1e-5
    )
    read, meant = load.study(texts), load.study(numbers)
    assert repr(read.config) == repr(meant.config) and read.config["study"] == "7"
    assert read.cells == meant.cells
    settings = [
        read.method_settings(Cell("digits", name, "real", 5, 0)) for name in ("dc", "mtt", "fast")
    ]
    assert [one["lr_images"] for one in settings] == [0.001, 100, 1000.0]
    assert repr(settings) == repr(
        [
            meant.method_settings(Cell("digits", name, "real", 5, 0))
            for name in ("dc", "mtt", "fast")
        ]
    )
    assert (
        read.evaluation(read.cells[0], "ConvNet")["lr"] == "learned"
        and read.evaluation(read.cells[0], "ConvNet")["selection"]["test"] is False
    )


@pytest.mark.slow
def test_every_declared_number_is_read_from_a_text():
    for name, method in plugins.methods().items():
        for setting, rule in method.settings.items():
            if rule.get("type") in ("integer", "number"):
                found = study(
                    grid=[{**BLOCK, "method": name}],
                    methods={name: {setting: str(rule["default"])}},
                    experts__default__epochs=99,
                )
                assert found.method_settings(found.cells[0])[setting] == rule["default"], (
                    f"{name}: {setting}"
                )
