"""A config: what it expands to, what each job reads of it, and what is refused, where and why."""

import copy
import dataclasses
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from distillery import plugins
from distillery.errors import UserError
from distillery.recipe import Recipe
from distillery.study import load, reference, schema
from distillery.study.cells import Cell
from distillery.study.checks import check_groups

ROOT = Path(__file__).resolve().parents[3]
SHIPPED = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in ("config", "studies")
    for path in (ROOT / folder).glob("*.yaml")
)

BLOCK = {"dataset": "digits", "method": "dc", "init": "real", "ipc": 1}
MTT = {"iterations": 5, "expert_epochs": 2, "max_start_epoch": 3}


def study(**changes):
    """A small study with some of its keys changed: `evaluate__epochs=3` is `evaluate: {epochs:
    3}`."""
    config = {
        "study": "Test",
        "grid": [dict(BLOCK)],
        "evaluate": {"networks": "ConvNet"},
        "vanilla": {"networks": "ConvNet"},
    }
    for path, value in changes.items():
        *folders, name = path.split("__")
        place = config
        for folder in folders:
            place = place.setdefault(folder, {})
        place[name] = copy.deepcopy(value)
    return load.study(config)


def refusal(**changes):
    with pytest.raises(UserError) as caught:
        study(**changes)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_config_comes_to_one_text_wherever_its_keys_stand():
    """Snakemake compares params by their text, and a second config puts its keys elsewhere."""
    given = {
        "seed": 3,
        "evaluate": {"epochs": 3, "networks": "ConvNet"},
        "compute": {"threads": 1, "precision": "float32"},
        "results": "out",
    }
    base = {"study": "Test", "grid": [dict(BLOCK)]}
    turned = {
        key: dict(reversed(value.items())) if isinstance(value, dict) else value
        for key, value in reversed(given.items())
    }
    assert str(load.study(base | given).config) == str(load.study(turned | base).config)


# ---- the grid ------------------------------------------------------------------------------------


def test_the_grid_is_the_union_of_its_blocks_and_a_block_the_product_of_its_lists():
    blocks = [
        {
            "dataset": ["MNIST", "digits"],
            "method": ["dc", "mtt"],
            "init": ["real", "noise"],
            "ipc": [1, 10],
            "seed": [0, 1],
        },
        {"dataset": "MNIST", "method": "random", "init": "real", "ipc": 10},
        {"dataset": "MNIST", "method": "dc", "init": "real", "ipc": [10, 50]},
    ]
    cells = study(grid=blocks).cells
    assert (
        len(cells) == len(set(cells)) == 32 + 1 + 1
    )  # (MNIST, dc, real, 10, 0) stands in two blocks
    assert cells[0] == Cell("MNIST", "dc", "real", 1, 0) and cells[-1] == Cell(
        "MNIST", "dc", "real", 50, 0
    )
    assert study(grid=blocks).dataset_names == ["MNIST", "digits"]


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_config_is_a_study_and_has_jobs_of_every_kind(name):
    loaded = load.study(yaml.safe_load((ROOT / name).read_text(encoding="utf-8")))
    methods = {cell.method for cell in loaded.cells}
    assert "random" in methods
    if name in ("config/quickstart.yaml", "config/paper.yaml"):
        assert methods >= {"dc", "dsa", "dm", "mtt", "tesla", "ncfm", "random", "herding"}
    if name.startswith("studies/"):
        return  # cells to reproduce or to choose from, nothing else
    assert {"dc", "mtt", "random", "herding"} <= methods
    for dataset in loaded.dataset_names:
        assert loaded.evaluation_networks(dataset) and loaded.vanilla_networks(dataset)
        inits = {cell.init for cell in loaded.cells if cell.dataset == dataset}
        assert inits == {"real", "noise"} or (name == "config/paper.yaml" and dataset == "CIFAR100")
    assert loaded.continual_datasets and all(
        loaded.memories(dataset) for dataset in loaded.continual_datasets
    )
    assert set(loaded.strategies) == {"finetune", "joint", "replay", "afterwards"}


def test_the_default_study_s_trajectory_matching_on_cifar_is_the_course_project_s_run():
    loaded = load.study(yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8")))
    cell = Cell("CIFAR10", "mtt", "real", 10, 0)
    settings = loaded.method_settings(cell)
    wanted = {
        "iterations": 100,
        "syn_steps": 20,
        "expert_epochs": 3,
        "max_start_epoch": 20,
        "lr_images": 1000,
        "batch_syn": 0,
        "augment": "none",
    }
    assert {name: settings[name] for name in wanted} == wanted
    assert loaded.normalization(cell) == "zca" and loaded.experts("CIFAR10", "zca")["epochs"] == 22
    evaluation = loaded.evaluation(cell, "ConvNet")
    assert (evaluation["epochs"], evaluation["decay"], evaluation["lr"]) == (
        20,
        "published",
        "learned",
    )


def test_what_is_left_out_has_the_schema_s_default():
    given_config = {
        "study": "Test",
        "grid": [{"dataset": "MNIST", "method": "dc", "init": "real", "ipc": 1}],
    }
    root = reference.json_schema()
    defaults = {
        key: rule["default"] for key, rule in root["properties"].items() if "default" in rule
    }
    assert defaults["experts"]["default"]["epochs"] == 15
    assert defaults["evaluate"]["selection"] == {"models": 2, "test": True}
    resolved = load.study(given_config).config
    assert without_none(defaults) | given_config == resolved
    # Sections that are there in part.
    partly = {"evaluate": {"selection": {}}, "data": {}, "experts": {"default": {}}}
    assert load.study(given_config | partly).config == resolved


def without_none(value):
    if not isinstance(value, dict):
        return value
    return {key: without_none(item) for key, item in value.items() if item is not None}


def models(model=schema.Config):
    """Every section of a config."""
    yield model
    for field in model.model_fields.values():
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, schema.Section):
                yield from models(kind)


def test_every_section_and_key_has_a_description():
    found = set(models())
    assert len(found) >= 13
    for model in found:
        assert model.__doc__ and model.model_config["extra"] == "forbid"
        assert all(field.description for field in model.model_fields.values())


def test_a_recipe_of_training_is_declared_once():
    """What trains a network is in each section that trains one, under the same names."""
    trained = [schema.Experts, schema.Evaluate, schema.Vanilla, schema.Continual]
    assert all(issubclass(model, schema.Training) for model in trained)
    keys = {field.name for field in dataclasses.fields(Recipe)} - {"decay"}
    assert set(schema.Training.model_fields) == keys
    assert {"decay"} <= set(schema.Evaluate.model_fields) & set(schema.Vanilla.model_fields)


def test_the_config_that_was_given_is_left_alone():
    given_config = {
        "study": "Test",
        "grid": [{"dataset": "MNIST", "method": "dc", "init": "real", "ipc": 1}],
        "methods": {"dc": {"iterations": 3}},
    }
    before = copy.deepcopy(given_config)
    load.study(given_config)
    assert given_config == before


def test_a_name_that_is_said_twice_is_one_job():
    doubled = study(
        evaluate__networks=["MLP", "ConvNet", "MLP"],
        vanilla__networks=["MLP", "MLP"],
        continual__strategies=["joint", "joint"],
    )
    assert doubled.evaluation_networks("digits") == ["MLP", "ConvNet"]
    assert doubled.vanilla_networks("digits") == ["MLP"] and doubled.strategies == ["joint"]


def test_a_bare_off_which_yaml_reads_as_false_is_off():
    assert (
        study(**yaml.safe_load("{compute: {compile: off}}")).config["compute"]["compile"] == "off"
    )


def test_what_is_not_held_out_is_not_selected_by():
    grid = [{**BLOCK, "method": ["dc", "random"]}]
    held_out, all_used = study(grid=grid), study(grid=grid, data__validation=0)
    assert [
        found.evaluation(found.cells[0], "ConvNet")["selection"] is None
        for found in (held_out, all_used)
    ] == [False, True]
    assert all(all_used.evaluation(cell, "ConvNet")["selection"] is None for cell in all_used.cells)


def test_noise_starts_more_images_of_a_class_than_there_are():
    many = [{**BLOCK, "init": "noise", "ipc": 500}]
    assert [cell.ipc for cell in study(grid=many).cells] == [500]
    told = refusal(grid=many, evaluate__robust={"models": 1})
    assert told.startswith(
        "config: grid: ipc 500 is above the smallest class of digits"
    ) and told.endswith("set its models to 0 there")


# As texts, which `--config 'evaluate={epochs: 3}'` makes of whatever is nested, and as YAML 1.1
# reads numbers without a point.
TEXTS = """
study: "7"
seed: "7"
compute: {threads: "2", compile: "off"}
networks: {ConvNet: {width: "8", depth: "2", norm: none}}
grid: [{dataset: digits, method: [dc, mtt, fast], init: real, ipc: ["1", "5"], seed: "0"}]
methods:
  dc: {iterations: "3", lr_images: 1e-2, inner: auto, outer: "2", overrides: [{when: {ipc: "5"}, lr_images: 1E-3}]}
  mtt: {lr_step_size: 1e-5, expert_epochs: "2", max_start_epoch: "3"}
  fast: {of: mtt, lr_step_size: .5e-5, overrides: [{when: {seed: ["0"], ipc: ["5"]}, lr_images: 1e3}]}
experts: {default: {lr: 1e-2, number: "3", overrides: [{when: {dataset: digits}, lr: 2e-2}]}}
evaluate:
  epochs: "3"
  lr: 1e-2
  selection: {test: "false", models: "1"}
  overrides: [{when: {ipc: ["1"]}, lr: learned}, {when: {seed: "0"}, weight_decay: 5e-4, selection: {test: "no"}}]
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


def levels(root, node=None, place="config"):
    """Every block of keys of the schema that stands at a fixed place, with this place."""
    node = root if node is None else node
    if "$ref" in node:
        node = root["$defs"][node["$ref"].rsplit("/", 1)[-1]]
    if "properties" in node:
        yield place, node["properties"]
        for name, rule in node["properties"].items():
            yield from levels(root, rule, name if place == "config" else f"{place}.{name}")


def test_what_may_have_been_meant_is_a_key_of_the_same_level():
    everywhere = {key for _, properties in levels(reference.json_schema()) for key in properties}
    tried = 0
    for place, known in levels(reference.json_schema()):
        for key in sorted(everywhere - known.keys()):
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


def test_networks_that_a_dataset_s_images_are_too_small_for_are_left_out_for_that_dataset_only():
    mixed = study(
        grid=[BLOCK, {**BLOCK, "dataset": "MNIST"}], evaluate__networks=["ConvNet", "VGG11"]
    )
    assert mixed.evaluation_networks("digits") == ["ConvNet"] and mixed.evaluation_networks(
        "MNIST"
    ) == ["ConvNet", "VGG11"]
    # By their options, too.
    deep = {"network": "MLP", "networks__ConvNet__depth": 5, "continual__network": "MLP"}
    mixed = study(
        grid=[BLOCK, {**BLOCK, "dataset": "MNIST"}],
        evaluate__networks=["ConvNet", "MLP"],
        vanilla__networks=["ConvNet", "MLP"],
        **deep,
    )
    assert mixed.evaluation_networks("digits") == ["MLP"] and mixed.evaluation_networks(
        "MNIST"
    ) == ["ConvNet", "MLP"]
    assert mixed.vanilla_networks("digits") == ["MLP"]


# ---- settings of one job -------------------------------------------------------------------------


def test_later_overrides_win_and_only_those_that_match_the_cell():
    methods = {
        "iterations": 7,
        "overrides": [
            {"when": {"ipc": [1, 10]}, "iterations": 8, "momentum": 0.25},
            {"when": {"ipc": 10, "init": "noise"}, "iterations": 9},
            {"when": {"dataset": "MNIST"}, "iterations": 10},
        ],
    }
    found = study(
        grid=[{**BLOCK, "init": ["real", "noise"], "ipc": [1, 10, 50]}], methods__dc=methods
    )
    iterations = {
        (cell.ipc, cell.init): found.method_settings(cell)["iterations"] for cell in found.cells
    }
    assert iterations == {
        (1, "real"): 8,
        (1, "noise"): 8,
        (10, "real"): 8,
        (10, "noise"): 9,
        (50, "real"): 7,
        (50, "noise"): 7,
    }
    momentum = {cell.ipc: found.method_settings(cell)["momentum"] for cell in found.cells}
    assert momentum == {1: 0.25, 10: 0.25, 50: 0.5}


def test_a_variant_is_a_method_of_its_own_with_its_method_s_settings_and_then_its_own():
    methods = {
        "dc": {
            "iterations": 7,
            "overrides": [
                {"when": {"ipc": 10}, "momentum": 0.25},
                {"when": {"method": "dc"}, "lr_network": 0.5},
            ],
        },
        "dc_bold": {
            "of": "dc",
            "lr_images": 1,
            "overrides": [{"when": {"init": "noise"}, "iterations": 9}],
        },
    }
    blocks = [{**BLOCK, "method": ["dc", "dc_bold"], "init": ["real", "noise"], "ipc": [1, 10]}]
    evaluation = [
        {"when": {"method": "dc"}, "epochs": 30},
        {"when": {"method": "dc_bold"}, "models": 9},
    ]
    found = study(grid=blocks, methods=methods, evaluate__overrides=evaluation)
    assert (
        len(found.cells) == 8
        and found.methods["dc_bold"].module == "dc"
        and found.methods["dc"].module == "dc"
    )
    bold, plain = (Cell("digits", name, "noise", 10, 0) for name in ("dc_bold", "dc"))
    assert found.method_settings(bold) == found.method_settings(plain) | {
        "lr_images": 1,
        "iterations": 9,
    }
    assert (
        found.method_settings(plain)["momentum"] == 0.25
        and found.method_settings(bold)["lr_network"] == 0.5
    )
    assert found.method_settings(Cell("digits", "dc_bold", "real", 1, 0))["iterations"] == 7
    assert [found.evaluation(cell, "ConvNet")["epochs"] for cell in (bold, plain)] == [30, 30]
    assert [found.evaluation(cell, "ConvNet")["models"] for cell in (bold, plain)] == [9, 5]
    assert found.protocol(bold) == found.protocol(plain)


def test_a_variant_learns_from_its_method_s_experts_unless_it_says_otherwise():
    methods = {
        "mtt": {**MTT, "experts": "few"},
        "mtt_a": {"of": "mtt"},
        "mtt_b": {"of": "mtt", "experts": "default"},
    }
    found = study(
        grid=[{**BLOCK, "method": ["mtt", "mtt_a", "mtt_b"]}],
        methods=methods,
        experts={"few": {"epochs": 5}, "default": {"epochs": 6}},
    )
    assert [found.recipe(cell) for cell in found.cells] == ["few", "few", "default"]


@pytest.mark.parametrize("method", sorted(plugins.methods()))
def test_a_method_s_settings_are_all_its_own_and_none_of_another_s(method):
    block = {
        "dataset": "MNIST",
        "method": ["dc", "mtt", "random", "herding"],
        "init": "real",
        "ipc": 1,
    }
    methods = {
        "dc": {"iterations": 11, "momentum": 0.125},
        "mtt": {"iterations": 12, "momentum": 0.375},
    }
    found = study(grid=[block], methods=methods)
    settings = found.method_settings(Cell("MNIST", method, "real", 1, 0))
    declared = plugins.methods()[method].settings
    assert settings == {name: rule["default"] for name, rule in declared.items()} | methods.get(
        method, {}
    )


def test_robust_scores_are_of_sets_that_were_made_on_the_distillation_network_and_no_part_of_an_evaluation():
    released = {"name": "released", "dataset": "digits", "file": str(ROOT / "README.md"), "ipc": 1}
    blocks = [{**BLOCK, "init": ["real", "noise"]}, {**BLOCK, "method": ["random", "herding"]}]
    said = {"grid": blocks, "imported": [released], "evaluate__networks": ["MLP"]}
    without, found = study(**said), study(**said, evaluate__robust={"models": 3})
    assert all(without.robust(cell) is None for cell in without.cells)
    distilled = [Cell("digits", "dc", init, 1, 0) for init in ("real", "noise")]
    assert [cell for cell in found.cells if found.robust(cell)] == [
        *distilled,
        Cell("digits", "released", "imported", 1, 0),
    ]
    for cell in found.cells:
        for network in ("ConvNet", "MLP"):
            assert found.evaluation(cell, network) == without.evaluation(
                cell, network
            ) and "robust" not in found.evaluation(cell, network)
    settings = found.robust(found.cells[0])
    assert settings.pop("robust") == {"models": 3, "augment": "dsa"}
    assert settings.keys() == {
        "epochs",
        "lr",
        "momentum",
        "weight_decay",
        "batch",
        "decay",
        "augment",
    }


def test_robust_scores_follow_the_overrides_of_the_distillation_network_s_evaluation():
    overrides = [
        {"when": {"network": "ConvNet"}, "epochs": 7, "augment": "dc_mnist"},
        {"when": {"network": "MLP"}, "epochs": 9},
        {"when": {"init": "noise"}, "robust": {"models": 0}},
        {"when": {"ipc": 10}, "robust": {"models": 1}},
    ]
    said = {"evaluate__robust": {"models": 2, "augment": "dc_bn"}, "evaluate__overrides": overrides}
    found = study(grid=[{**BLOCK, "init": ["real", "noise"], "ipc": [1, 10]}], **said)
    robust = {(cell.init, cell.ipc): found.robust(cell) for cell in found.cells}
    assert robust["noise", 1] is None
    assert robust["real", 1]["robust"] == {"models": 2, "augment": "dc_bn"}
    assert (
        robust["real", 10]["robust"]
        == robust["noise", 10]["robust"]
        == {"models": 1, "augment": "dsa"}
    )
    assert all(
        settings["epochs"] == 7 and settings["augment"] == "dc_mnist"
        for settings in robust.values()
        if settings
    )


def test_augmentation_s_share_cannot_be_measured_without_one():
    assert "config: evaluate.robust: augment none" in refusal(
        evaluate__robust={"models": 1, "augment": "none"}
    )
    study(evaluate__robust={"models": 0, "augment": "none"})


def test_what_one_job_does_to_its_settings_reaches_no_other():
    found = study(
        evaluate__overrides=[{"when": {"ipc": 1}, "selection": {"models": 1}}],
        networks__ConvNet={"width": 16},
    )
    (cell,) = found.cells
    found.evaluation(cell, "ConvNet").pop("selection")["models"] = 9
    found.network("digits", "ConvNet")["options"]["width"] = 1
    found.method_settings(cell)["iterations"] = -1
    assert found.evaluation(cell, "ConvNet")["selection"] == {"models": 1, "test": True}
    assert (
        found.network("digits", "ConvNet")["options"]["width"] == 16
        and found.method_settings(cell)["iterations"] == 1000
    )


def test_a_network_is_told_the_dataset_s_shape_and_every_option():
    built = study(networks__ConvNet={"width": 16}).network("digits", "ConvNet")
    assert {key: built[key] for key in ("name", "channels", "size", "classes")} == {
        "name": "ConvNet",
        "channels": 1,
        "size": 8,
        "classes": 10,
    }
    declared = plugins.networks()["ConvNet"].options
    assert built["options"] == {name: rule["default"] for name, rule in declared.items()} | {
        "width": 16
    }


def test_snapshots_are_judged_by_the_distillation_network_on_distilled_sets_only():
    found = study(
        grid=[{**BLOCK, "method": ["dc", "random"]}],
        evaluate__networks=["ConvNet", "MLP"],
        evaluate__selection={"models": 3},
    )
    dc, chosen = found.cells
    assert found.evaluation(dc, "ConvNet")["selection"] == {"models": 3, "test": True}
    assert (
        found.evaluation(dc, "MLP")["selection"] is None
        and found.evaluation(chosen, "ConvNet")["selection"] is None
    )
    assert study(evaluate__selection={"models": 0}).evaluation(dc, "ConvNet")["selection"] is None


def test_an_override_s_selection_has_the_same_defaults_as_the_section_s():
    found = study(
        evaluate__selection={"models": 1},
        evaluate__overrides=[{"when": {"ipc": 1}, "selection": {"test": False}}],
    )
    assert found.evaluation(found.cells[0], "ConvNet")["selection"] == {"models": 2, "test": False}


def test_a_recipe_follows_the_cell_and_its_settings_the_dataset():
    grid = [{"dataset": ["digits", "MNIST"], "method": "mtt", "init": "real", "ipc": [1, 10]}]
    experts = {
        "default": {"epochs": 5},
        "long": {"epochs": 9, "overrides": [{"when": {"dataset": "MNIST"}, "lr": 0.5}]},
    }
    found = study(
        grid=grid,
        methods__mtt={
            **MTT,
            "overrides": [{"when": {"ipc": 10}, "experts": "long", "max_start_epoch": 7}],
        },
        experts=experts,
    )
    assert {cell.ipc: found.recipe(cell) for cell in found.cells} == {1: "default", 10: "long"}
    assert "experts" not in found.method_settings(found.cells[0])
    assert [found.experts(dataset, "long")["lr"] for dataset in ("digits", "MNIST")] == [0.01, 0.5]
    assert found.experts("MNIST", "long")["epochs"] == 9 and "overrides" not in found.experts(
        "MNIST", "long"
    )


def test_the_space_of_a_set_follows_the_cell_and_is_no_setting_of_its_method(tmp_path):
    (tmp_path / "res.pt").touch()
    released = [
        {"name": name, "dataset": "digits", "file": str(tmp_path / "res.pt"), "ipc": 1}
        for name in ("plain", "white")
    ]
    released[1]["normalization"] = "zca"
    block = {"dataset": "digits", "method": ["dc", "mtt", "random"], "init": "real", "ipc": [1, 10]}
    white = {"when": {"ipc": 1}, "normalization": "zca"}
    found = study(
        grid=[block],
        imported=released,
        methods__mtt={**MTT, "overrides": [{**white, "experts": "white"}]},
        methods__random={"overrides": [white]},
        experts={"default": {"epochs": 5}, "white": {"epochs": 5, "normalization": "zca"}},
    )
    whitened = {
        (cell.method, cell.ipc) for cell in found.cells if found.normalization(cell) == "zca"
    }
    assert whitened == {("mtt", 1), ("random", 1), ("white", 1)}
    assert all(
        found.normalization(cell) == "channel"
        for cell in found.cells
        if (cell.method, cell.ipc) not in whitened
    )
    assert all(
        "normalization" not in found.method_settings(cell)
        for cell in found.cells
        if not found.is_imported(cell.method)
    )


def test_the_published_study_whitens_where_the_authors_do():
    found = load.study(yaml.safe_load((ROOT / "config/paper.yaml").read_text(encoding="utf-8")))
    names = (
        "syn_steps",
        "expert_epochs",
        "max_start_epoch",
        "batch_syn",
        "lr_images",
        "lr_step_size",
        "step_size",
    )
    mtt = {(cell.dataset, cell.ipc): cell for cell in found.cells if cell.method == "mtt"}
    table = {
        key: (*(found.method_settings(cell)[name] for name in names), found.normalization(cell))
        for key, cell in mtt.items()
    }
    # N, M, T+, batch (0: all), rate of the images, of the step size, the step size at the start,
    # and the space.
    assert table == {
        ("CIFAR10", 1): (50, 2, 2, 0, 100, 1e-7, 0.01, "zca"),
        ("CIFAR10", 10): (30, 2, 20, 0, 100, 1e-5, 0.001, "zca"),
        ("CIFAR10", 50): (30, 2, 40, 0, 1000, 1e-5, 0.001, "channel"),
        ("CIFAR100", 1): (20, 3, 20, 0, 1000, 1e-5, 0.01, "zca"),
        ("CIFAR100", 10): (20, 2, 20, 0, 1000, 1e-5, 0.01, "channel"),
        ("CIFAR100", 50): (80, 2, 40, 125, 1000, 1e-5, 0.01, "zca"),
    }
    assert all(
        found.normalization(cell) == "channel" for cell in found.cells if cell.method != "mtt"
    )


@given(number=st.integers(1, 60), shard=st.integers(1, 70))
def test_shards_hold_every_expert_once_in_order(number, shard):
    shards = study(experts__default={"number": number, "shard": shard}).shards("digits", "default")
    assert [expert for part in shards for expert in part] == list(range(number))
    assert all(len(part) == shard for part in shards[:-1]) and 1 <= len(shards[-1]) <= shard


def test_memories_are_the_dataset_s_sets_that_are_all_that_is_asked_for():
    grid = [
        {
            "dataset": ["digits", "MNIST"],
            "method": ["dc", "mtt"],
            "init": ["real", "noise"],
            "ipc": [1, 10],
        }
    ]
    found = study(
        grid=grid,
        experts__default={"epochs": 50},
        continual__memory={"method": ["dc"], "ipc": [10]},
        continual__datasets=["MNIST"],
    )
    assert found.memories("MNIST") == [
        Cell("MNIST", "dc", init, 10, 0) for init in ("real", "noise")
    ]
    assert found.continual_datasets == ["MNIST"]
    everything = study(grid=grid, experts__default={"epochs": 50})
    assert everything.memories("digits") == [
        cell for cell in everything.cells if cell.dataset == "digits"
    ]


@given(classes=st.integers(1, 100), groups=st.integers(1, 100))
def test_groups_are_nearly_equal_and_hold_each_class_once_in_order(classes, groups):
    if groups > classes:
        with pytest.raises(UserError, match=f"{groups} groups of {classes} classes"):
            check_groups(classes, groups)
        return
    split = check_groups(classes, groups)
    assert len(split) == groups and [c for group in split for c in group] == list(range(classes))
    assert max(map(len, split)) - min(map(len, split)) <= 1


def test_groups_in_full_are_kept_as_they_are():
    assert check_groups(4, [[3, 0], [2, 1]]) == [[3, 0], [2, 1]]
    for wrong in ([[0, 1], [1, 2, 3]], [[0, 1, 2]], [[0, 1, 2, 3], []], [[0, 1, 2, 3, 4]]):
        with pytest.raises(UserError, match="each class 0 to 3 once"):
            check_groups(4, wrong)


def test_released_sets_are_cells_one_an_experiment(tmp_path):
    (tmp_path / "res.pt").touch()
    released = {
        "name": "DC_released",
        "dataset": "MNIST",
        "file": str(tmp_path / "res.pt"),
        "ipc": 10,
        "sets": 3,
    }
    found = study(imported=[released], continual__datasets=["digits"])
    assert [cell for cell in found.cells if found.is_imported(cell.method)] == [
        Cell("MNIST", "DC_released", "imported", 10, n) for n in range(3)
    ]
    assert (
        found.dataset_names == ["digits", "MNIST"]
        and found.evaluation(found.cells[-1], "ConvNet")["selection"] is None
    )


def test_a_study_of_released_sets_alone_needs_no_block(tmp_path):
    (tmp_path / "res.pt").touch()
    released = {"name": "theirs", "dataset": "digits", "file": str(tmp_path / "res.pt"), "ipc": 1}
    found = study(grid=[], imported=[released], evaluate__robust__models=2)
    assert (
        found.cells == [Cell("digits", "theirs", "imported", 1, 0)]
        and found.robust(found.cells[0])["robust"]["models"] == 2
    )
    assert "grid" in refusal(grid=[]) and "`imported` no set" in refusal(grid=[])


def test_robust_scores_of_a_released_set_need_as_many_real_images_and_a_network_that_fits(tmp_path):
    (tmp_path / "res.pt").touch()
    released = {"name": "theirs", "dataset": "digits", "file": str(tmp_path / "res.pt"), "ipc": 127}
    assert study(imported=[released]).cells
    assert "smallest class of digits only 126 to draw as many from" in refusal(
        imported=[released], evaluate__robust__models=1
    )
    few = {"grid": [], "imported": [{**released, "ipc": 1}], "evaluate__robust__models": 1}
    assert refusal(**few, network="VGG11").startswith(
        "config: evaluate.robust: network: VGG11 needs images of at least"
    )
    assert "augment none" in refusal(**few, evaluate__robust__augment="none")


def test_the_files_of_a_released_set_are_those_of_its_paths_patterns_and_folders(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in (
        "part_10.pt",
        "part_2.pt",
        "lr_best.pt",
        "pictures/1/b.png",
        "pictures/0/a.png",
        "labels.pt",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    base = {"name": "theirs", "dataset": "digits", "ipc": 1}

    def files(**entry):
        return [
            path.removeprefix(f"{tmp_path}/")
            for path in study(imported=[{**base, **entry}]).imported_files("theirs")
        ]

    assert files(
        file="~/part_*.pt", labels=str(tmp_path / "labels.pt"), step_size="~/lr_best.pt"
    ) == ["part_2.pt", "part_10.pt", "labels.pt", "lr_best.pt"]
    assert files(file=["~/part_10.pt", "~/part_2.pt"], step_size=0.02) == [
        "part_10.pt",
        "part_2.pt",
    ]
    assert files(file=str(tmp_path / "pictures")) == ["pictures/0/a.png", "pictures/1/b.png"]
    assert "file ~/no_*.pt fits no file".replace("~", str(tmp_path)) in refusal(
        imported=[{**base, "file": "~/no_*.pt"}]
    )
    assert refusal(imported=[{**base, "file": 3}]).startswith(
        "config: imported[0].file: must be a text or a list, not 3"
    )
    assert "labels_are: must be one of probabilities, logits" in refusal(
        imported=[{**base, "file": "~/labels.pt", "labels_are": "scores"}]
    )


def test_reading_a_config_takes_no_torch():
    """Each job parses the workflow again, and torch takes seconds to import."""
    code = (
        "import sys, distillery.study.study, distillery.study.fingerprint; sys.exit(bool({'torch', "
        "'numpy', 'pandas', 'snakemake'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


# ---- refusals ------------------------------------------------------------------------------------

REFUSED = {
    # Names.
    "dataset": (
        {"grid": [{**BLOCK, "dataset": "MNST"}]},
        "grid[0]: unknown dataset 'MNST'; did you mean 'MNIST'?",
    ),
    "method": (
        {"grid": [BLOCK, {**BLOCK, "method": "mt"}]},
        "grid[1]: unknown method 'mt'; did you mean 'mtt'? known are ",
    ),
    "base is no method": (
        {"grid": [{**BLOCK, "method": "base"}]},
        "grid[0]: unknown method 'base'",
    ),
    "init": (
        {"grid": [{**BLOCK, "init": ["real", "gauss"]}]},
        "grid[0]: unknown init 'gauss'; known are real, noise",
    ),
    "network": (
        {"network": "Convnet"},
        "network: unknown network 'Convnet'; did you mean 'ConvNet'?",
    ),
    "evaluation network": (
        {"evaluate__networks": ["ConvNet", "ResNet"]},
        "evaluate.networks: unknown network 'ResNet'; did you mean 'ResNet18'?",
    ),
    "vanilla network": ({"vanilla__networks": "X"}, "vanilla.networks: unknown network 'X'"),
    "continual network": ({"continual__network": "X"}, "continual.network: unknown network 'X'"),
    "recipe": (
        {"methods__mtt__experts": "x"},
        "methods.mtt: unknown expert recipe 'x'; known are default",
    ),
    "strategy": (
        {"continual__strategies": ["reply"]},
        "continual.strategies[0]: must be one of finetune, joint, replay, afterwards, not 'reply'",
    ),
    "source": (
        {"data__sources": ["web"]},
        "data.sources[0]: must be one of local, torchvision, registry, not 'web'",
    ),
    "augmentation": (
        {"evaluate__augment": "das"},
        f"evaluate.augment: must be one of {', '.join(plugins.augmentations())}, not 'das'",
    ),
    # Misspelt keys.
    "key": ({"contnual": {}}, "unknown key 'contnual'; did you mean 'continual'?"),
    "nested key": ({"evaluate__epoch": 1}, "evaluate: unknown key 'epoch'; did you mean 'epochs'?"),
    "nested deeper": (
        {"evaluate__selection__model": 1},
        "evaluate.selection: unknown key 'model'; did you mean 'models'?",
    ),
    "grid key": (
        {"grid": [{**BLOCK, "ipcs": 1}]},
        "grid[0]: unknown key 'ipcs'; did you mean 'ipc'?",
    ),
    "setting": (
        {"methods__dc__iteration": 1},
        "methods.dc: unknown setting 'iteration'; did you mean 'iterations'?",
    ),
    "another's setting": ({"methods__dc__syn_steps": 1}, "methods.dc: unknown setting 'syn_steps'"),
    "variant of nothing": (
        {"methods": {"mine": {"of": "mt"}}},
        "methods.mine.of: unknown method 'mt'; did you mean 'mtt'?",
    ),
    "variant of a variant": (
        {"methods": {"a": {"of": "dc"}, "b": {"of": "a"}}},
        "methods.b.of: unknown method 'a'",
    ),
    "variant with a method's name": (
        {"methods": {"mtt": {"of": "dc"}}},
        "methods.mtt: mtt is a method itself",
    ),
    "variant with a path's name": (
        {"methods": {"a/b": {"of": "dc"}}},
        "methods.a/b: a variant's name is made of letters",
    ),
    "variant with another's setting": (
        {"methods": {"mine": {"of": "dc", "syn_steps": 1}}},
        "methods.mine: unknown setting 'syn_steps'",
    ),
    "no experts to learn from": (
        {"methods__dc__experts": "default"},
        "methods.dc: unknown setting 'experts'",
    ),
    "method block": ({"methods__dcc": {}}, "methods: unknown method 'dcc'; did you mean 'dc'?"),
    "option": (
        {"networks__ConvNet__widht": 3},
        "networks.ConvNet: unknown option 'widht'; did you mean 'width'?",
    ),
    "recipe key": (
        {"experts__default__epoch": 3},
        "experts.default: unknown key 'epoch'; did you mean 'epochs'?",
    ),
    "override's setting": (
        {"methods__dc__overrides": [{"when": {"ipc": 1}, "iteration": 1}]},
        "methods.dc.overrides[0]: unknown setting 'iteration'; did you mean 'iterations'?",
    ),
    "override's key": (
        {"evaluate__overrides": [{"when": {"ipc": 1}, "epoch": 1}]},
        "evaluate.overrides[0]: unknown key 'epoch'; did you mean 'epochs'?",
    ),
    "override's when": (
        {"evaluate__overrides": [{"when": {"icp": 1}, "epochs": 1}]},
        "evaluate.overrides[0].when: unknown key 'icp'; did you mean 'ipc'?",
    ),
    "override's method": (
        {"evaluate__overrides": [{"when": {"method": "dcc"}, "epochs": 1}]},
        "evaluate.overrides[0].when: unknown method 'dcc'",
    ),
    "missing key": ({"grid": [{"dataset": "digits"}]}, "grid[0]: the key 'method' is missing"),
    "memory's key": (
        {"continual__memory": {"metod": ["dc"]}},
        "continual.memory: unknown key 'metod'; did you mean 'method'?",
    ),
    # Overrides that could never match.
    "when without block": (
        {"methods__dc__overrides": [{"iterations": 1}]},
        "methods.dc.overrides[0]: must have a `when` block",
    ),
    "when outside": ({"methods__dc__when": {"ipc": 1}}, "methods.dc: unknown setting 'when'"),
    "overrides as a block": (
        {"methods__dc__overrides": {"when": {"ipc": 1}}},
        "methods.dc.overrides: must be a list",
    ),
    "network of a method": (
        {"methods__dc__overrides": [{"when": {"network": "MLP"}, "iterations": 1}]},
        "methods.dc.overrides[0].when: unknown key 'network'; known are dataset, method, init, "
        "ipc, seed",
    ),
    "method of the whole set": (
        {"vanilla__overrides": [{"when": {"method": "dc"}, "epochs": 1}]},
        "vanilla.overrides[0].when: unknown key 'method'; known are dataset, network",
    ),
    "ipc of an expert": (
        {"experts__default__overrides": [{"when": {"ipc": 1}, "epochs": 9}]},
        "experts.default.overrides[0].when: unknown key 'ipc'",
    ),
    "ipc of continual": (
        {"continual__overrides": [{"when": {"ipc": 1}, "epochs": 9}]},
        "continual.overrides[0].when: unknown key 'ipc'",
    ),
    "when of another type": (
        {"evaluate__overrides": [{"when": {"ipc": "one"}, "epochs": 9}]},
        "evaluate.overrides[0].when.ipc: must be a whole number, not 'one'",
    ),
    # Values.
    "ipc 0": ({"grid": [{**BLOCK, "ipc": 0}]}, "grid[0].ipc: must be 1 or more, not 0"),
    "ipc 0 in a list": (
        {"grid": [{**BLOCK, "ipc": [1, 0]}]},
        "grid[0].ipc[1]: must be 1 or more, not 0",
    ),
    "ipc as a text": (
        {"grid": [{**BLOCK, "ipc": "one"}]},
        "grid[0].ipc: must be a whole number of 1 or more or a list, not 'one'",
    ),
    "ipc 1.0": (
        {"grid": [{**BLOCK, "ipc": [1.0]}]},
        "grid[0].ipc[0]: must be a whole number: write 1, not 1.0",
    ),
    "count as YAML 1.1 reads 1e3": (
        {"methods__dc__iterations": "1e3"},
        "methods.dc.iterations: must be a whole number: write 1000, not '1e3'",
    ),
    "count with a fraction": (
        {"methods__dc__iterations": "1.5"},
        "methods.dc.iterations: must be a whole number, not '1.5'",
    ),
    "ipc true": (
        {"grid": [{**BLOCK, "ipc": [True]}]},
        "grid[0].ipc[0]: must be a whole number, not True",
    ),
    "ipc above a class": (
        {"grid": [{**BLOCK, "ipc": 127}]},
        "grid: ipc 127 is above the smallest class of digits: 140 training images, 14 of them "
        "held out for validation; at most 126 is possible",
    ),
    "seed": ({"grid": [{**BLOCK, "seed": -1}]}, "grid[0].seed: must be 0 or more, not -1"),
    "negative rate": (
        {"methods__dc__lr_images": -0.1},
        "methods.dc.lr_images: must be above 0, not -0.1",
    ),
    "negative rate in an override": (
        {"methods__dc__overrides": [{"when": {"ipc": 1}, "lr_images": -1}]},
        "methods.dc.overrides[0].lr_images: must be above 0, not -1",
    ),
    "negative rate of a variant": (
        {"methods__dc_bold": {"of": "dc", "overrides": [{"when": {"ipc": 1}, "lr_images": -1}]}},
        "methods.dc_bold.overrides[0].lr_images: must be above 0, not -1",
    ),
    "experts too short for a variant": (
        {
            "grid": [{**BLOCK, "method": "mtt_far"}],
            "methods": {"mtt": MTT, "mtt_far": {"of": "mtt", "max_start_epoch": 20}},
        },
        "methods.mtt_far: starts below max_start_epoch 20",
    ),
    "negative evaluation rate": ({"evaluate__lr": -1}, "evaluate.lr: must be above 0, not -1"),
    "negative expert rate": (
        {"experts__default__lr": 0},
        "experts.default.lr: must be above 0, not 0",
    ),
    "rate as a text": (
        {"evaluate__lr": "learnt"},
        "evaluate.lr: must be a number above 0 or `learned`, not 'learnt'",
    ),
    "rate as a text without a number": (
        {"methods__mtt__lr_step_size": "1e"},
        "methods.mtt.lr_step_size: must be a number, not '1e'",
    ),
    "rate as a text without end": (
        {"methods__mtt__lr_step_size": "1e999"},
        "methods.mtt.lr_step_size: must be a finite number, not inf",
    ),
    "rate as a text that is no number": (
        {"evaluate__momentum": "nan"},
        "evaluate.momentum: must be a number, not 'nan'",
    ),
    "negative rate as a text": (
        {"methods__mtt__lr_step_size": "-1e-5"},
        "methods.mtt.lr_step_size: must be 0 or more, not -1e-05",
    ),
    "seed without end": (
        {"seed": 10**40},
        "seed: must be below 2 to the power of 63, not a number of such length",
    ),
    "rate that is no number": (
        {"methods__dc__lr_images": float("nan")},
        "methods.dc.lr_images: must be a finite number, not nan",
    ),
    "rate without end": (
        {"evaluate__overrides": [{"when": {"ipc": 1}, "lr": float("inf")}]},
        "evaluate.overrides[0].lr: must be a finite number, not inf",
    ),
    "loops": (
        {"methods__dc__outer": "aut"},
        "methods.dc.outer: must be a whole number of 1 or more or `auto`, not 'aut'",
    ),
    "section": ({"evaluate": None}, "evaluate: must be a block of keys, not None"),
    "method's section": (
        {"methods": {"dc": None}},
        "methods.dc: must be a block of settings, not None",
    ),
    "grid": (
        {"grid": []},
        "grid: has no block, and `imported` no set; a study has at least one of them",
    ),
    "title": ({"study": ""}, "study: must not be empty, not ''"),
    "width": ({"networks__ConvNet__width": 0}, "networks.ConvNet.width: must be 1 or more, not 0"),
    "a width that no memory holds": (
        {"networks__ConvNet__width": 10**9},
        "networks.ConvNet.width: must be 4096 or less, not 1000000000",
    ),
    "share": ({"data__validation": 0.5}, "data.validation: must be below 0.5, not 0.5"),
    "precision": (
        {"compute__precision": "float16"},
        "compute.precision: must be one of auto, float32, not 'float16'",
    ),
    "threads": ({"compute__threads": 1.5}, "compute.threads: must be a whole number, not 1.5"),
    # Counts that no machine has.
    "more threads": (
        {"compute__threads": 10000},
        "compute.threads: must be 1024 or less, not 10000",
    ),
    "more experts": (
        {"experts__default__number": 1000000},
        "experts.default.number: must be 10000 or less, not 1000000",
    ),
    "more images": (
        {"grid": [{**BLOCK, "ipc": 10**12}]},
        "grid[0].ipc: must be 1000000 or less, not 1000000000000",
    ),
    "more shards": (
        {
            "grid": [{**BLOCK, "method": "mtt"}],
            "methods__mtt": MTT,
            "experts__default": {"number": 8000, "shard": 2},
        },
        "experts.default: 4000 jobs; at most 1000 are possible: raise shard to 8, or lower number",
    ),
    "more sets in a block": (
        {"grid": [{**BLOCK, "seed": list(range(10001))}]},
        "grid[0]: 10001 sets; a block has at most 10000",
    ),
    "more sets in all": (
        {
            "grid": [
                {**BLOCK, "seed": list(range(6000))},
                {**BLOCK, "ipc": 2, "seed": list(range(6000))},
            ]
        },
        "grid: 12000 sets; a study has at most 10000",
    ),
    "product without end": (
        {"grid": [{key: [value] * 10**4 for key, value in BLOCK.items()}]},
        "grid[0]: 10000000000000000 sets",
    ),
    "depth": (
        {"networks__ConvNet__depth": 33},
        "networks.ConvNet.depth: must be 32 or less, not 33",
    ),
    # Folders that cannot be.
    "results with a NUL": (
        {"results": "a\0b"},
        "results: must be a path of printable characters, not 'a\\x00b'",
    ),
    "results of two lines": (
        {"results": "a\nb"},
        "results: must be a path of printable characters",
    ),
    "results of a name too long": (
        {"results": "a/" + "b" * 256},
        "results: is too long: a path has at most 255 characters between two slashes",
    ),
    "results of a path too long": ({"results": "/".join(["a"] * 2000)}, "results: is too long"),
    "results that is a file": (
        {"results": str(ROOT / "README.md")},
        "results: README.md is a file; name a folder",
    ),
    "results below a file": (
        {"results": str(ROOT / "README.md" / "more" / "yet")},
        "results: README.md is a file; name a folder",
    ),
    "results everywhere": ({"results": "/"}, "results: / is or holds the working directory"),
    "results above": ({"results": ".."}, "results: .. is or holds the working directory"),
    "results here": ({"results": "./"}, "results: . is or holds the working directory"),
    "results": ({"results": "results/{study}"}, "results: a folder without braces"),
    # Things that do not go together.
    "coreset from noise": (
        {"grid": [{**BLOCK, "method": "random", "init": "noise"}]},
        "grid[0]: random chooses real images",
    ),
    "experts too short": (
        {
            "grid": [{**BLOCK, "method": "mtt"}],
            "methods__mtt": MTT,
            "experts__default": {"epochs": 3},
        },
        "methods.mtt: starts below max_start_epoch 3 with expert_epochs 2 reach to epoch 4, "
        "beyond the 3 epochs of experts.default on digits; lower",
    ),
    "experts too short for one cell": (
        {
            "grid": [{**BLOCK, "method": "mtt", "ipc": [1, 2]}],
            "methods__mtt": {**MTT, "overrides": [{"when": {"ipc": 2}, "max_start_epoch": 15}]},
        },
        "methods.mtt: starts below max_start_epoch 15 with expert_epochs 2 reach to epoch 16, "
        "beyond the 15 epochs",
    ),
    "experts in another space": (
        {
            "grid": [{**BLOCK, "method": "mtt"}],
            "methods__mtt": {**MTT, "normalization": "zca"},
            "experts__default": {"epochs": 5},
        },
        "methods.mtt: normalization 'zca' at ipc 1 on digits, but experts.default has 'channel': ",
    ),
    "set in another space than its experts": (
        {
            "grid": [{**BLOCK, "method": "mtt"}],
            "methods__mtt": MTT,
            "experts__default": {"epochs": 5, "normalization": "zca"},
        },
        "methods.mtt: normalization 'channel' at ipc 1 on digits, but experts.default has 'zca': ",
    ),
    "no such space": (
        {"methods__dc__normalization": "ZCA"},
        "methods.dc.normalization: must be one of channel, zca, not 'ZCA'",
    ),
    "no such space of experts": (
        {"experts__default__normalization": "pca"},
        "experts.default.normalization: must be one of channel, zca, not 'pca'",
    ),
    "no recipe": (
        {"grid": [{**BLOCK, "method": "mtt"}], "experts": {}},
        "experts: has no recipe 'default', which methods.mtt learns from",
    ),
    "distillation network too large": (
        {"network": "VGG11"},
        "network: VGG11 needs images of at least 28 pixels a side; digits has 8",
    ),
    "distillation network too deep": (
        {"networks__ConvNet__depth": 4},
        "network: ConvNet with depth 4 needs images of at least 16 pixels a side; depth 3 is the "
        "most for these; digits has 8",
    ),
    "channels that make no groups": (
        {"networks__ConvNet": {"norm": "group", "width": 6}},
        "networks.ConvNet: with norm group the width must be a multiple of 4, such as 4 or 8, not "
        "6",
    ),
    "evaluation networks too large": (
        {"evaluate__networks": ["VGG11"]},
        "evaluate.networks: VGG11 needs images of at least",
    ),
    "network with batch normalisation": (
        {"networks__ConvNet__norm": "batch"},
        "network: ConvNet has batch normalisation",
    ),
    "continual network too large": (
        {"continual__network": "VGG11"},
        "continual.network: VGG11 needs images of at least",
    ),
    "share that rounds to nothing": (
        {"data__validation": 0.005},
        "evaluate.selection: needs validation images, and data.validation 0.005 leaves none",
    ),
    "groups": (
        {"continual__groups": 11},
        "continual.groups: 11 groups of 10 classes; 1 to 10 is possible",
    ),
    "groups in full": (
        {"continual__groups": [[0, 1], [2]]},
        "continual.groups: [[0, 1], [2]] must name each class 0 to 9 once",
    ),
    "continual dataset": (
        {"continual__datasets": ["MNIST"]},
        "continual.datasets: 'MNIST' is not in the grid, which has digits",
    ),
    "memory of no set": (
        {"continual__memory": {"ipc": [50]}},
        "continual.memory: unknown ipc 50; known are 1",
    ),
    "memory of no method": (
        {"continual__memory": {"method": ["mtt"]}},
        "continual.memory: unknown method 'mtt'; known are dc",
    ),
    "memory of no set that is all": (
        {
            "grid": [BLOCK, {**BLOCK, "method": "random", "ipc": 2}],
            "continual__memory": {"method": ["dc"], "ipc": [2]},
        },
        "continual.memory: no set of the grid is all that it asks for",
    ),
    # Released sets.
    "missing file": (
        {"imported": [{"name": "x", "dataset": "digits", "file": "no/res.pt", "ipc": 1}]},
        "imported[0]: file no/res.pt is missing",
    ),
    "released for no dataset": (
        {"imported": [{"name": "x", "dataset": "digit", "file": "a", "ipc": 1}]},
        "imported[0]: unknown dataset 'digit'",
    ),
    "name of a method": (
        {"imported": [{"name": "dc", "dataset": "digits", "file": "a", "ipc": 1}]},
        "imported[0]: the name 'dc' is taken",
    ),
    "name of the whole set": (
        {"imported": [{"name": "whole", "dataset": "digits", "file": "a", "ipc": 1}]},
        "imported[0]: the name 'whole' is taken",
    ),
    "name of a path": (
        {"imported": [{"name": "../x", "dataset": "digits", "file": "a", "ipc": 1}]},
        "imported[0].name: must match",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_in_one_line_that_says_where_and_what(name):
    changes, told = REFUSED[name]
    assert refusal(**changes).startswith(f"config: {told}")


def test_results_lie_neither_over_the_checkout_nor_over_the_study(tmp_path, monkeypatch):
    here = tmp_path / "here"
    here.mkdir()
    (tmp_path / "link").symlink_to(ROOT.parent)
    monkeypatch.chdir(here)
    for place in (ROOT, tmp_path / "link"):
        assert refusal(results=str(place)).startswith(
            f"config: results: {place} is or holds the checkout of Distillery, among"
        )
    assert refusal(results=str(tmp_path)).startswith(
        f"config: results: {tmp_path} is or holds the working directory, among"
    )
    for place in ("out", "../beside", str(ROOT / "results")):
        assert study(results=place).config["results"] == place


def test_two_released_sets_need_two_names_and_a_pair_of_files_is_one_set(tmp_path):
    entry = {"name": "x", "dataset": "digits", "file": str(tmp_path / "images.pt"), "ipc": 1}
    (tmp_path / "images.pt").touch()
    assert refusal(imported=[entry, entry]).startswith(
        "config: imported[0]: the name 'x' is used twice"
    )
    missing = str(tmp_path / "labels.pt")
    assert refusal(imported=[{**entry, "labels": missing}]).startswith(
        f"config: imported[0]: labels {missing} is missing"
    )
    assert refusal(imported=[{**entry, "labels": entry["file"], "sets": 2}]).startswith(
        "config: imported[0]: an images-and-labels pair holds one set"
    )


def test_the_limits_themselves_are_accepted():
    assert study(grid=[{**BLOCK, "ipc": 126}]).cells[0].ipc == 126
    assert (
        study(grid=[{**BLOCK, "ipc": 140}], data__validation=0, evaluate__selection={"models": 0})
        .cells[0]
        .ipc
        == 140
    )
    assert study(
        grid=[{**BLOCK, "method": "mtt"}], methods__mtt=MTT, experts__default={"epochs": 5}
    ).cells
    assert study(continual__memory={"ipc": [1]}, continual__strategies=["finetune"]).cells
